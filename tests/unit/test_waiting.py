"""Waiting for programs to start: for how long, and what extends the time."""

import operator
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from localcluster.supervisor import Supervisor
from localcluster.waiting import ClusterError, StartWatch

TIMEOUT_S = 0.3


class FakeSupervisor:
    """A supervisor with one program, whose states and log a test scripts."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "shard.log"
        self.path.write_text("1 rows processed\n")
        self.layout = SimpleNamespace(log=lambda _: self.path)
        self.how = "exit status 1"
        self.looks: list[tuple[str, int]] = []
        """State and pid at each of the next questions."""

    def start_process(self, _: str) -> None:
        """The program starts."""

    def statuses(self) -> list[Any]:
        state, pid = self.looks.pop(0) if self.looks else ("RUNNING", 1)
        return [SimpleNamespace(name="shard", state=state, pid=pid, detail="")]

    def last_exit(self, _: str) -> str:
        return self.how

    def found_wrong_settings(self, _: str) -> bool:
        return self.how == "exit status 78"

    def log(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(line + "\n")


def wait(supervisor: FakeSupervisor, line: str, seconds: float) -> None:
    """Wait for a program that logs a line at every question and is ready after this many seconds."""
    watch = StartWatch(cast("Supervisor", supervisor), TIMEOUT_S)
    watch.start(["shard"])
    there = time.monotonic() + seconds

    def is_there() -> bool:
        if line:
            supervisor.log(line)
        return time.monotonic() > there

    watch.until(is_there, "not there in time", ["shard"])


def test_the_wait_continues_while_a_shard_reads_its_log(tmp_path: Path) -> None:
    wait(FakeSupervisor(tmp_path), "I> 0.2M rows processed", 3 * TIMEOUT_S)


@pytest.mark.parametrize("line", ["", "W> cannot connect"])
def test_a_program_that_makes_no_progress_is_given_up(tmp_path: Path, line: str) -> None:
    with pytest.raises(ClusterError, match="not there in time"):
        wait(FakeSupervisor(tmp_path), line, 30)


@pytest.mark.parametrize(
    ("looks", "ends"),
    [
        ([("RUNNING", 1), ("RUNNING", 1)], 0),
        ([("RUNNING", 7), ("RUNNING", 8)], 1),
        ([("STARTING", 7), ("BACKOFF", 0), ("BACKOFF", 0), ("STARTING", 8), ("RUNNING", 8)], 1),
        ([("RUNNING", 7), ("RUNNING", 8), ("BACKOFF", 0), ("RUNNING", 9)], 2),
    ],
)
def test_a_program_may_end_a_bounded_number_of_times_while_it_starts(
    tmp_path: Path, looks: list[tuple[str, int]], ends: int
) -> None:
    for may_end in range(3):
        supervisor = FakeSupervisor(tmp_path)
        watch = StartWatch(cast("Supervisor", supervisor), 30, may_end)
        watch.start(["shard"])
        supervisor.looks = list(looks)
        seen_all = partial(operator.not_, supervisor.looks)
        if ends > may_end:
            with pytest.raises(ClusterError, match="shard ended"):
                watch.until(seen_all, "", ["shard"])
        else:
            watch.until(seen_all, "", ["shard"])


@pytest.mark.parametrize(("state", "how"), [("EXITED", "exit status 78"), ("FATAL", "exit status 1")])
def test_a_program_that_stays_down_is_not_waited_for(tmp_path: Path, state: str, how: str) -> None:
    supervisor = FakeSupervisor(tmp_path)
    supervisor.how = how
    watch = StartWatch(cast("Supervisor", supervisor), 30, 3)
    watch.start(["shard"])
    supervisor.looks = [("RUNNING", 1), (state, 0)]
    with pytest.raises(ClusterError, match="shard ended"):
        watch.until(lambda: False, "", ["shard"])
