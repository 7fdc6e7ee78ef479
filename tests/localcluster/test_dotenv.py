"""The `.env` file: `scripts/env.sh` makes it complete, `dotenv` reads it as Docker Compose does."""

import os
import subprocess
from pathlib import Path

import pytest

from localcluster import dotenv

SCRIPT = dotenv.REPOSITORY / "scripts" / "env.sh"


def test_the_first_call_writes_every_secret_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert dotenv.ensure(path) == sorted(dotenv.random_secrets())
    assert path.stat().st_mode & 0o777 == 0o600
    settings = dotenv.read(path)
    assert settings[dotenv.ADMIN_USER] == "admin"
    assert len(settings[dotenv.JWT_SECRET]) >= 32


def test_secrets_differ_from_call_to_call_and_from_each_other(tmp_path: Path) -> None:
    dotenv.ensure(tmp_path / "a")
    dotenv.ensure(tmp_path / "b")
    values = [*dotenv.read(tmp_path / "a").values(), *dotenv.read(tmp_path / "b").values()]
    assert len(set(values)) == len(values) - 1  # but for the administrator's name


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    dotenv.ensure(path)
    before = path.read_bytes()
    assert dotenv.ensure(path) == []
    assert path.read_bytes() == before


def test_existing_values_are_kept_and_missing_or_empty_ones_are_added(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nTARANTKV_PORT=9000\nTARANTKV_JWT_SECRET=\nTARANTKV_ADMIN_USER=root")
    added = dotenv.ensure(path)
    assert dotenv.JWT_SECRET in added
    assert dotenv.ADMIN_USER not in added
    assert path.read_text().startswith("# mine\nTARANTKV_PORT=9000\nTARANTKV_ADMIN_USER=root\n")
    assert path.read_text().count(dotenv.JWT_SECRET) == 1


@pytest.mark.parametrize(
    "line", ["{}=x", "export {}=x", "  {} = x", "{}='x'", '{}="x"', "\ufeff{}=x", "{}: x", "{}=x\r", "{}=$OTHER"]
)
def test_an_existing_value_in_any_spelling_is_not_added_again(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(line.format(dotenv.STORE_PASSWORD) + "\n")
    assert dotenv.STORE_PASSWORD not in dotenv.ensure(path)


@pytest.mark.parametrize("line", ["{}=", "export {}= ", "{}=''", '{}=""', "# {}=x", "{}X=x", "X{}=x", "{}=\r"])
def test_a_value_that_only_seems_to_exist_is_added(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(line.format(dotenv.STORE_PASSWORD) + "\n")
    assert dotenv.STORE_PASSWORD in dotenv.ensure(path)
    assert dotenv.read(path)[dotenv.STORE_PASSWORD]


def test_the_mode_of_the_file_is_corrected(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    dotenv.ensure(path)
    path.chmod(0o644)
    dotenv.ensure(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_symbolic_link_is_kept(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("A=1\n")
    path = tmp_path / ".env"
    path.symlink_to("elsewhere")
    dotenv.ensure(path)
    assert path.is_symlink()
    assert dotenv.read(tmp_path / "elsewhere")["A"] == "1"


def test_the_file_is_written_without_python_in_any_environment(tmp_path: Path) -> None:
    for name in ("chmod", "dirname", "grep", "ln", "mv", "od", "rm", "tr"):
        target = next(path for path in (Path("/usr/bin") / name, Path("/bin") / name) if path.exists())
        (tmp_path / name).symlink_to(target)
    path = tmp_path / ".env"
    env = {"PATH": str(tmp_path), "CDPATH": "/:/tmp", "GREP_OPTIONS": "-v", "LC_ALL": "tr_TR.UTF-8", "IFS": "A"}
    done = subprocess.run(["/bin/sh", SCRIPT, path], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert dotenv.read(path).keys() == dotenv.random_secrets().keys()


def test_a_file_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(dotenv.DotenvError) as failure:
        dotenv.ensure(tmp_path / "nowhere" / ".env")
    assert "\n" not in str(failure.value)
    with pytest.raises(dotenv.DotenvError, match="is not a file"):
        dotenv.ensure(tmp_path)


def test_of_many_simultaneous_calls_one_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    processes = [
        subprocess.Popen([SCRIPT, path], stdout=subprocess.PIPE, text=True, env=dict(os.environ)) for _ in range(8)
    ]
    said = [process.communicate()[0] for process in processes]
    assert sum("wrote" in text for text in said) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_counts_as_empty(tmp_path: Path) -> None:
    assert dotenv.read(tmp_path / ".env") == {}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"A=1\nwhat is this\n", ":2: expected NAME=value"),
        (b"\nA='1\nB=2\n", ":2: A: the quote is not closed"),
        (b"A=${B:?not today}\n", ":1: A: B is not set: not today"),
        (b"A=${B\n", ":1: A: a ${ has no closing brace"),
        (b"A=\xff\n", " is not UTF-8"),
    ],
)
def test_lines_that_compose_would_refuse_are_refused_with_their_number(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)
    with pytest.raises(dotenv.DotenvError) as failure:
        dotenv.read(path)
    assert str(failure.value) == f"{path}{complaint}"
