"""The output of the command line: an expected error is one line and no traceback, and Ctrl-C leaves nothing behind."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from localcluster import capacity
from localcluster.ports import free_ports
from tests.localcluster.clones import KEPT, TIMEOUT_S, Clone, lives, make_clone


def error_of(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line of a failed call, besides make's own."""
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    return line


@pytest.fixture(scope="module")
def one_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    clone = make_clone(tmp_path_factory.mktemp("commands") / "clone")
    yield clone
    clone.end()


@pytest.fixture
def running(one_for_all: Clone) -> Iterator[Clone]:
    """A running clone, which a test may stop; its settings are restored afterwards."""
    settings = (one_for_all.root / ".env").read_text()
    assert one_for_all.make("up").returncode == 0
    yield one_for_all
    (one_for_all.root / ".env").write_text(settings)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("scale", "WORKERS=2"),
        ("user-add", "NAME=alice"),
        ("user-disable", "NAME=alice"),
        ("user-list",),
        ("load", "HEADLESS=1"),
        ("overload",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands_that_need_a_running_system_say_so(clone: Clone, arguments: tuple[str, ...]) -> None:
    assert error_of(clone.make(*arguments)) == "not running (start it with: make up)"


@pytest.mark.parametrize("workers", ["400", "0", "-1", "x", "1.5", "²"])
def test_a_number_of_workers_that_the_machine_cannot_run_is_refused_with_the_bound(clone: Clone, workers: str) -> None:
    most, why = capacity.most_workers()
    line = error_of(clone.make("scale", f"WORKERS={workers}"))
    assert line == f"error: {workers!r} workers: this machine runs 1 to {most} ({why})"


def test_the_number_of_workers_in_the_settings_survives_a_restart(clone: Clone) -> None:
    clone.settings(WORKER_PROCESSES="3")
    assert clone.make("up").returncode == 0
    assert "worker-3" in clone.make("status").stdout
    clone.settings(WORKER_PROCESSES="400")
    assert "'400' workers" in error_of(clone.make("up"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "http", "TARANTKV_PORT: 'http' is not a port"),
        ("PORT", "'80", "TARANTKV_PORT: the quote is not closed"),
        pytest.param(
            "HOST", "nowhere.invalid", "'nowhere.invalid' is no address of this machine", marks=pytest.mark.long
        ),
        ("HOST", "192.0.2.1", "'192.0.2.1' is no address of this machine"),
        ("REDIS_URL", "redis://me:secret@127.0.0.1:7000/0", "TARANTKV_REDIS_URL: holds a user or a password"),
        pytest.param(
            "READ_FRAMES", "many", " ended (exit status 78): tarant-kv: TARANTKV_READ_FRAMES", marks=pytest.mark.long
        ),
        ("MAX_BATCH_KEYS", "0", "api ended (exit status 78): tarant-kv: TARANTKV_MAX_BATCH_KEYS"),
        ("WAL_MODE", "maybe", " ended (exit status 78): tarantkv shard: TARANTKV_WAL_MODE"),
        pytest.param("NO_SUCH_THING", "1", "TARANTKV_NO_SUCH_THING is not a setting", marks=pytest.mark.long),
    ],
)
def test_a_wrong_setting_is_an_error_of_one_line(clone: Clone, name: str, value: str, said: str) -> None:
    clone.settings(**{name: value})
    line = error_of(clone.make("up"))
    assert line.startswith("error: ")
    assert said in line
    assert "secret@" not in line
    assert clone.processes() == {}


def test_the_error_of_a_malformed_env_file_is_one_line_with_the_line_number(clone: Clone) -> None:
    with (clone.root / ".env").open("a") as file:
        file.write("what is this\n")
    lines = (clone.root / ".env").read_text().count("\n")
    assert error_of(clone.make("up")).startswith(f"error: {clone.root}/.env:{lines}: expected NAME=value")


def test_a_data_directory_that_is_a_file_is_an_error_of_one_line(clone: Clone) -> None:
    clone.layout.data_dir.write_text("")
    assert error_of(clone.make("up")).endswith(f": {clone.layout.data_dir}")


def test_data_of_another_cluster_is_an_error_of_one_line(running: Clone) -> None:
    assert running.make("down").returncode == 0
    text = (running.root / ".env").read_text()
    (running.root / ".env").write_text(text + "TARANTKV_BUCKET_COUNT=300\n")
    assert "bucket_count is 30000 in the data and 300 in the settings" in error_of(running.make("up"))


def test_a_server_that_is_not_installed_is_an_error_of_one_line(clone: Clone, tmp_path: Path) -> None:
    for name in ("chmod", "dirname", "grep", "mv", "od", "rm", "tr"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    python = clone.root / ".venv" / "bin" / "python"
    done = clone.run(python, "-m", "localcluster", "up", env={"PATH": str(tmp_path)})
    assert error_of(done) == "error: redis-server is not installed (or not in PATH)"


@pytest.mark.long
def test_an_ipv6_address_is_printed_in_brackets(clone: Clone) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    clone.settings(HOST="::1")
    up = clone.make("up")
    assert up.returncode == 0
    lines = [line for line in up.stdout.splitlines() if line.startswith(("TOKEN=", "curl "))]
    assert "http://[::1]:" in lines[0]
    assert clone.run("bash", "-c", "\n".join(lines)).stdout.startswith('{"status":"success"}')


def started(clone: Clone) -> "subprocess.Popen[str]":
    """`make up` in a process group of its own, as a terminal starts it."""
    env = {name: os.environ[name] for name in KEPT if name in os.environ}
    return subprocess.Popen(
        ["make", "up"],
        cwd=clone.root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def first_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def test_ctrl_c_during_a_start_leaves_nothing_running_and_prints_one_line(clone: Clone) -> None:
    process = started(clone)
    assert first_line(process.stdout).startswith("Starting")
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert [line for line in said.splitlines() if not line.startswith("make")] == ["interrupted"]
    assert process.returncode != 0
    assert clone.processes() == {}
    assert clone.make("up").returncode == 0


def test_two_starts_at_the_same_time_start_one_system(clone: Clone) -> None:
    (clone.root / ".env").unlink()
    (port,) = free_ports(1)
    clone.settings(PORT=str(port))
    first, second = started(clone), started(clone)
    outcomes = [process.communicate(timeout=TIMEOUT_S) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outcomes
    assert sorted("Already running" in out for out, _ in outcomes) == [False, True] or "waiting" in str(outcomes)
    assert sorted(clone.processes().values()).count("redis-server") == 1


def test_logs_are_those_of_the_present_programs(running: Clone) -> None:
    clone = running
    assert clone.make("scale", "WORKERS=4").returncode == 0
    assert clone.make("scale", "WORKERS=1").returncode == 0
    shown = clone.make("logs").stdout
    assert "worker-1.log" in shown
    assert "worker-2.log" not in shown
    # A log that is requested by name is shown, however old it is.
    assert "worker started" in clone.make("logs", "NAMES=worker-4").stdout
    assert "no log of nobody" in error_of(clone.make("logs", "NAMES=nobody"))


def test_a_start_says_which_settings_come_from_the_shell(clone: Clone) -> None:
    clone.settings(LOG_LEVEL="info")
    up = clone.make("up", env={"TARANTKV_LOG_LEVEL": "warning", "TARANTKV_HOST": "127.0.0.1"})
    assert "From the environment, not from .env: TARANTKV_LOG_LEVEL\n" in up.stdout


def test_a_running_system_is_reached_at_its_addresses_even_if_the_settings_have_changed(running: Clone) -> None:
    clone = running
    before = clone.processes()
    clone.settings()
    line = error_of(clone.make("up"))
    assert line.startswith("error: Settings have changed since the start of redis, ")
    assert line.endswith("make down && make up takes them over.")
    assert clone.processes() == before
    assert clone.make("down").returncode == 0
    assert not [pid for pid in before if lives(pid)]
