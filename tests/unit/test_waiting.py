"""Waiting for programs to start: for how long, and what makes it longer."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from localcluster.supervisor import Supervisor
from localcluster.waiting import ClusterError, StartWatch

TIMEOUT_S = 0.3


class FakeSupervisor:
    """Has one program, which runs and logs what it is told to."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "shard.log"
        self.path.write_text("1 rows processed\n")
        self.layout = SimpleNamespace(log=lambda _: self.path)

    def start_process(self, _: str) -> None:
        """It starts."""

    def statuses(self) -> list[Any]:
        return [SimpleNamespace(name="shard", state="RUNNING", pid=1)]

    def log(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(line + "\n")


def wait(supervisor: FakeSupervisor, line: str, seconds: float) -> None:
    """Wait for a program that logs a line at every look and is there after so many seconds."""
    watch = StartWatch(cast("Supervisor", supervisor), TIMEOUT_S)
    watch.start(["shard"])
    there = time.monotonic() + seconds

    def is_there() -> bool:
        if line:
            supervisor.log(line)
        return time.monotonic() > there

    watch.until(is_there, "not there in time", ["shard"])


def test_a_shard_that_reads_its_log_is_waited_for(tmp_path: Path) -> None:
    wait(FakeSupervisor(tmp_path), "I> 0.2M rows processed", 3 * TIMEOUT_S)


@pytest.mark.parametrize("line", ["", "W> cannot connect"])
def test_a_program_that_does_not_get_on_is_given_up(tmp_path: Path, line: str) -> None:
    with pytest.raises(ClusterError, match="not there in time"):
        wait(FakeSupervisor(tmp_path), line, 30)
