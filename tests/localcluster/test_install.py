"""The decisions of `scripts/install.sh` with other kinds of interpreters and servers first in PATH."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from localcluster.dotenv import REPOSITORY

# An interpreter that answers what the installer asks, and makes an environment whose pip notes how it was called.
PYTHON = """#!/bin/sh
for last; do :; done
case "$*" in
    *CONFIG_ARGS*) exit {slow} ;;
    *"-m venv"*)
        mkdir -p "$last/bin"
        cp "$0" "$last/bin/python"
        ;;
    *"-m pip --version"* | *dry-run*) ;;
    *"-m pip"*" install "*)
        env >>installed.env
        for number in $(seq 60); do echo "Collecting package$number"; done
        echo "Installing collected packages: all"
        echo "ERROR: {failure}"
        [ -z "{failure}" ] || exit 1
        ;;
    *platform*) echo 3.13.99 ;;
    *) exit 0 ;;
esac
"""
LEAKING = {
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "PIP_TARGET": "/nowhere",
    "PIP_USER": "1",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "VIRTUAL_ENV": "/nowhere",
    "BASH_ENV": "/nowhere/that/would/be/an/error",
    "CDPATH": "/:/tmp:/usr",
    "BASH_FUNC_cd%%": "() { echo leaked; builtin cd /; }",
    "GREP_OPTIONS": "--color=always",
    "TMPDIR": "/nowhere",
    "LC_ALL": "nonsense",
    "TARANTKV_PORT": "1",
}
KEPT = {"PIP_INDEX_URL": "https://packages.example/simple", "https_proxy": "http://proxy.example:3128"}

Interpreter = Callable[..., Path]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A clone in which nothing is installed."""
    clone = tmp_path / "clone"
    (clone / "scripts").mkdir(parents=True)
    shutil.copy(REPOSITORY / "scripts" / "install.sh", clone / "scripts")
    (clone / "requirements-dev.lock").write_text("".join(f"package{number}==1 \\\n" for number in range(60)))
    return clone


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    """Makes a directory for PATH with a python3.13 in it."""

    def new(name: str, *, slow: bool = False, failure: str = "") -> Path:
        directory = tmp_path / name
        directory.mkdir()
        script = directory / "python3.13"
        script.write_text(PYTHON.format(slow=int(slow), failure=failure))
        script.chmod(0o755)
        return directory

    return new


def install(clone: Path, *first_in_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = ":".join([*map(str, first_in_path), os.environ["PATH"]])
    return subprocess.run(
        ["scripts/install.sh"],
        cwd=clone,
        env={"HOME": str(clone), "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "version", "complaint"),
    [
        ("redis-server", "Redis server v=5.0.14 sha=00000000:0", "is version 5.0, and 6.0 or newer is needed"),
        ("tarantool", "Tarantool 2.5.3-0-gf93e480\nTarget: Linux", "is version 2.5, and 2.6 or newer is needed"),
        ("tarantool", "Tarantool 1.10.15-0-g0\nTarget: Linux", "is version 1.10, and 2.6 or newer is needed"),
        ("tarantool", "no tarantool\nat all", "does not print a version: no tarantool"),
    ],
)
def test_a_server_that_is_too_old_is_named_in_one_line(
    bare: Path, tmp_path: Path, command: str, version: str, complaint: str
) -> None:
    script = tmp_path / command
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{version}\nEND\n")
    script.chmod(0o755)
    done = install(bare, tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(complaint)


def test_an_optimized_interpreter_is_chosen_and_named(bare: Path, interpreter: Interpreter) -> None:
    slow, fast = interpreter("slow", slow=True), interpreter("fast")
    done = install(bare, slow, fast)
    assert done.returncode == 0, done.stderr
    said = f"making .venv with {fast}/python3.13 (3.13.99; {slow}/python3.13 was built without optimizations)"
    assert said in done.stderr.splitlines()


def test_the_first_of_several_optimized_interpreters_is_chosen(bare: Path, interpreter: Interpreter) -> None:
    first = interpreter("first")
    done = install(bare, first, interpreter("second"))
    assert f"making .venv with {first}/python3.13 (3.13.99)" in done.stderr.splitlines()


def test_steps_are_reported_when_they_begin_and_a_second_call_reports_none(
    bare: Path, interpreter: Interpreter
) -> None:
    path = interpreter("fast")
    lines = install(bare, path).stderr.splitlines()
    assert lines[-3:] == ["  25 of at most 60 packages", "  50 of at most 60 packages", "  unpacking"]
    again = install(bare, path)
    assert (again.returncode, again.stderr) == (0, "")


def test_the_shells_environment_does_not_affect_the_installation(bare: Path, interpreter: Interpreter) -> None:
    done = install(bare, interpreter("fast"), **LEAKING, **KEPT)
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stdout + done.stderr
    reached = dict(line.partition("=")[::2] for line in (bare / "installed.env").read_text().splitlines())
    assert not reached.keys() & (LEAKING.keys() - {"LC_ALL"})
    assert reached["LC_ALL"] == "C.UTF-8"
    assert reached.items() >= KEPT.items()


def test_the_umask_of_the_shell_does_not_affect_the_rights_of_installed_files(
    bare: Path, interpreter: Interpreter
) -> None:
    path = f"{interpreter('fast')}:{os.environ['PATH']}"
    for mask in ("000", "077"):
        shutil.rmtree(bare / ".venv", ignore_errors=True)
        command = ["sh", "-c", f"umask {mask}; scripts/install.sh"]
        subprocess.run(command, cwd=bare, env={"PATH": path}, check=True, stderr=subprocess.DEVNULL)
        assert (bare / ".venv").stat().st_mode & 0o777 == 0o755


def test_a_failed_installation_shows_the_reason_and_is_repeated_by_the_next_call(
    bare: Path, interpreter: Interpreter
) -> None:
    path = interpreter("fast", failure="No matching distribution")
    for _ in range(2):
        done = install(bare, path)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-2:] == [
            "ERROR: No matching distribution",
            "error: could not install the packages of requirements-dev.lock",
        ]


def test_two_installations_at_the_same_time_install_once(bare: Path, interpreter: Interpreter) -> None:
    path = f"{interpreter('fast')}:{os.environ['PATH']}"
    processes = [
        subprocess.Popen(["scripts/install.sh"], cwd=bare, env={"PATH": path}, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    environments = (bare / "installed.env").read_text().splitlines()
    assert len([line for line in environments if line.startswith("PATH=")]) == 1


def test_the_wait_for_an_installation_that_never_ends_is_bounded(
    bare: Path, interpreter: Interpreter, tmp_path: Path
) -> None:
    # Another process has the lock; a wait without a limit would get it.
    flock = tmp_path / "flock"
    flock.write_text('#!/bin/sh\ncase "$*" in *-n*) exit 1 ;; *-w*) echo "$2" >limit; exit 1 ;; esac\n')
    flock.chmod(0o755)
    done = install(bare, interpreter("fast"), tmp_path)
    assert done.returncode == 1
    waiting, error = done.stderr.splitlines()
    assert "waiting" in waiting
    assert error.startswith("error: another installation has not ended within 15 minutes")
    assert "requirements-dev.lock" in error
    assert (bare / "limit").read_text() == "900\n"


def test_an_environment_that_is_a_link_is_replaced_and_its_target_is_kept(
    bare: Path, interpreter: Interpreter, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (bare / ".venv").symlink_to(elsewhere)
    assert install(bare, interpreter("fast")).returncode == 0
    assert (elsewhere / "precious").exists()
    assert not (bare / ".venv").is_symlink()


def test_a_clone_has_unix_line_ends_even_if_git_is_set_to_those_of_windows(tmp_path: Path) -> None:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("this folder is not a clone")
    command = ["git", "clone", "--quiet", "-c", "core.autocrlf=true", str(REPOSITORY), str(tmp_path / "clone")]
    subprocess.run(command, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--eol"], cwd=tmp_path / "clone", capture_output=True, text=True, check=True
    )
    assert [line for line in listed.stdout.splitlines() if "w/crlf" in line or "w/mixed" in line] == []
    assert "w/lf" in listed.stdout
