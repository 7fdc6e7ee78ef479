"""Faults of processes: killed, kept down, frozen; and workers that are added and removed."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from localcluster.cluster import Cluster
from tests.faults.processes import reader, wait_for


def programs_of(cluster: Cluster, target: str) -> list[str]:
    """The programs of a target: one by its name, `workers` or `shards` for all of these, or `worker` for the
    one that reads the streams.
    """
    if target == "worker":
        return [reader(cluster)]
    names = [status.name for status in cluster.status()]
    return [name for name in names if name.partition("-")[0] == target.removesuffix("s")] or [target]


def kill_for_good(cluster: Cluster, name: str) -> None:
    """Kill it while the supervisor stops it. Otherwise the supervisor would start it again at once."""
    pid = cluster.kill(name, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as other:
        stopped = other.submit(cluster.stop_program, name)
        wait_for(lambda: any(status.state == "STOPPING" for status in cluster.status()), "it was not told to stop")
        os.kill(pid, signal.SIGKILL)
        stopped.result()


class Killed:
    """SIGKILL; the supervisor starts it again at once."""

    def __init__(self, target: str) -> None:
        self.name = f"{target}-killed"
        self._target = target
        self._pids: dict[str, int] = {}

    def start(self, cluster: Cluster) -> None:
        """Kill all of the target."""
        for program in programs_of(cluster, self._target):
            self._pids[program] = cluster.kill(program)

    def stop(self, cluster: Cluster) -> None:
        """Wait until all have ended. The supervisor starts them again, which may take until other faults are over."""
        for program, pid in self._pids.items():
            cluster.wait_ended(program, pid)
        self._pids.clear()


class Down:
    """SIGKILL, without a restart before the end of the fault."""

    def __init__(self, target: str) -> None:
        self.name = f"{target}-down"
        self._target = target
        self._programs: list[str] = []

    def start(self, cluster: Cluster) -> None:
        """Kill all of the target without a restart, one after the other."""
        for program in programs_of(cluster, self._target):
            self._programs.append(program)
            kill_for_good(cluster, program)

    def stop(self, cluster: Cluster) -> None:
        """Start the killed programs; other faults may still prevent them from serving."""
        for program in self._programs:
            cluster.start_program(program)
        self._programs.clear()


class Frozen:
    """SIGSTOP, until SIGCONT."""

    def __init__(self, target: str) -> None:
        self.name = f"{target}-frozen"
        self._target = target
        self._pids: list[int] = []

    def start(self, cluster: Cluster) -> None:
        """Freeze all of the target."""
        for program in programs_of(cluster, self._target):
            self._pids.append(cluster.kill(program, signal.SIGSTOP))

    def stop(self, cluster: Cluster) -> None:
        """Continue those that still exist."""
        ours = {cluster.pid(status.name) for status in cluster.status()}
        for pid in ours.intersection(self._pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._pids.clear()


class WorkersChanging:
    """A worker is added and removed again every second."""

    name = "workers-changing"

    def __init__(self, every_s: float = 1.0) -> None:
        self.changes = 0
        self._every_s = every_s
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def start(self, cluster: Cluster) -> None:
        """Start to change their number."""
        self._over.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(cluster, cluster.workers()), daemon=True)
        self._thread.start()

    def stop(self, cluster: Cluster) -> None:
        """Restore their number; raises the error of a change, if there was one."""
        del cluster
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        if self._failure is not None:
            raise self._failure

    def _run(self, cluster: Cluster, usual: int) -> None:
        try:
            while not self._over.is_set():
                began = time.monotonic()
                cluster.scale_workers(usual + 1 if self.changes % 2 == 0 else usual)
                self.changes += 1
                self._over.wait(self._every_s - (time.monotonic() - began))
            cluster.scale_workers(usual)
        except BaseException as error:  # noqa: BLE001 - `stop` raises it
            self._failure = error
