"""Runs the processes that share the api's port: restarts a dead one, and gives up if that does not help.

Uvicorn's supervisor does the rest: it handles signals, and replaces all processes one by one on SIGHUP. It could also
ask each process whether it hangs. That is off: a thread answers the question whatever the other threads do, and the
wait for it would delay signals.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import time
from socket import socket

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from protocol.backoff import Backoff

_log = logging.getLogger(__name__)

FAILED = 1
"""The exit code if serving failed."""

RESTART_S = (0.5, 5.0)
"""The first and the longest wait before a process is restarted."""

START_MARGIN_S = 5.0
"""Longer than a process works before and after its start's waits for Redis and the shards."""

STABLE_S = 60.0
"""If a process lived for this long, its death has another cause than the one before."""

MOST_DEATHS = 8
"""After this many deaths in a row no process is started any more: some 20 s of attempts."""


class Processes(Multiprocess):
    """The processes of one api. After it has run, `failed` says whether it ended because they could not serve."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket], startup_timeout_s: float) -> None:
        super().__init__(config, sockets)
        self.failed = False
        self._startup_timeout_s = startup_timeout_s
        self._born_at: dict[Process, float] = {}
        self._due_at: dict[Process, float] = {}
        """When each dead process is to be restarted."""
        self._deaths = 0
        self._backoff = Backoff(*RESTART_S)

    def keep_subprocess_alive(self) -> None:
        """Notice dead processes, and restart those whose wait is over; uvicorn calls it twice a second."""
        now = time.monotonic()
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            born_at = self._born_at.setdefault(process, now)
            if process in self._due_at:
                if now >= self._due_at[process]:
                    self._replace(place, process)
            elif not process.process.is_alive():
                self._died(process, now - born_at)

    def _replace(self, place: int, dead: Process) -> None:
        del self._due_at[dead], self._born_at[dead]
        process = Process(self.config, self.sockets)
        process.start()
        self._born_at[process] = time.monotonic()
        self.processes[place] = process

    def _died(self, process: Process, lived_s: float) -> None:
        code = process.process.exitcode
        _log.error("an api process died", extra={"pid": process.pid, "exit_code": code, "lived_s": round(lived_s)})
        if code == STARTUP_FAILURE and self._another_serves(process):
            # Redis or a shard is out of reach: the other processes answer 503 for it, and must not end because of it.
            self._wait(process)
            return
        if lived_s >= STABLE_S:
            self._deaths = 0
            self._backoff.reset()
        self._deaths += 1
        if code == STARTUP_FAILURE or self._deaths >= MOST_DEATHS:
            _log.critical("api processes cannot serve, ending", extra={"deaths_in_a_row": self._deaths})
            self.failed = True
            self.should_exit.set()
        else:
            self._wait(process)

    def _wait(self, process: Process) -> None:
        self._due_at[process] = time.monotonic() + self._backoff.next_s()

    def _another_serves(self, dead: Process) -> bool:
        """Whether another process is serving: a process that cannot start ends within the timeout of a start."""
        now = time.monotonic()
        return any(
            now - self._born_at.get(process, now) > self._startup_timeout_s + START_MARGIN_S
            for process in self.processes
            if process is not dead and process not in self._due_at
        )


def end_with_parent() -> None:
    """Make this process end in the orderly way when the process that started it is gone.

    It would be neither restarted nor stopped, and would keep the port from the api that is started next.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop, gone = asyncio.get_running_loop(), parent.sentinel

    def end() -> None:
        loop.remove_reader(gone)
        _log.error("the process that started this one is gone, ending", extra={"parent": parent.pid})
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(gone, end)


def serve(config: uvicorn.Config, startup_timeout_s: float) -> int:
    """Serve, in as many processes as the configuration says, until told to stop; returns the exit code."""
    processes = Processes(config, [config.bind_socket()], startup_timeout_s)
    processes.run()
    return FAILED if processes.failed else 0
