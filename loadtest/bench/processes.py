"""Starts the processes of a run through the local cluster's launcher, which ends them with the benchmark."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster.supervisor import launch_command

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 40
_POLL_S = 0.05
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER")


class StartError(RuntimeError):
    """A process did not start; the message holds the end of its log."""


class Process:
    """One process with its log."""

    def __init__(self, popen: subprocess.Popen[str], log: Path) -> None:
        self.popen = popen
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id. The launcher replaces itself with the program, so the id stays."""
        return self.popen.pid

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds. Raises `StartError` when the process ends, or too much time passes."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not condition():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"{self._log.stem} did not start:\n{self.tail()}")
            time.sleep(_POLL_S)

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def running(
    name: str, argv: Sequence[str], directory: Path, env: Mapping[str, str], cwd: Path = REPOSITORY
) -> Iterator[Process]:
    """A process with pipes for standard input and output and a log for errors; the end of the `with` block ends it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    spec = {
        "argv": list(argv),
        "env": {**inherited, **env},
        "cwd": str(cwd),
        "die_with_parent": True,
    }
    spec_file = directory / f"{name}.json"
    spec_file.touch(mode=0o600)
    spec_file.write_text(json.dumps(spec))
    log = directory / f"{name}.log"
    with log.open("wb") as errors:
        popen = subprocess.Popen(
            launch_command(spec_file), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield Process(popen, log)
    finally:
        popen.terminate()
        try:
            popen.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.communicate()


def python(*arguments: str) -> list[str]:
    """A command for the Python that runs the benchmark."""
    return [sys.executable, *arguments]


def listens(port: int) -> bool:
    """Whether a server accepts connections on a port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
