"""Finds the processes of a cluster, even without a supervisor, and ends them.

It trusts no process id in a file: the file may have been copied with its directory, and the id may belong to another
process now. A process belongs to a cluster if it holds the cluster's run directory itself open, not a copy of it.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from localcluster.launch import RUN_FD, RUN_MARK
from localcluster.layout import Layout

GRACE_S = 10.0


def belongs(pid: int, layout: Layout) -> bool:
    """Whether a process was started for this cluster: by the descriptor that it holds, or by its environment.

    Redis and Tarantool write their title over their environment; the api's children inherit no descriptor.
    """
    held = Path(f"/proc/{pid}/fd/{RUN_FD}")
    with contextlib.suppress(OSError):
        if held.samefile(layout.run_dir):
            return True
    with contextlib.suppress(OSError):
        # The directory was removed while its programs ran: only they can have held it open.
        if str(held.readlink()) == f"{layout.run_dir.resolve()} (deleted)":
            return True
    with contextlib.suppress(psutil.Error, OSError):
        return psutil.Process(pid).environ().get(RUN_MARK) == layout.identity()
    return False


def find(layout: Layout) -> list[psutil.Process]:
    """Every living process of the cluster, with its children."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid != os.getpid() and belongs(process.pid, layout):
            with contextlib.suppress(psutil.Error):
                for each in (process, *process.children(recursive=True)):
                    found.setdefault(each.pid, each)
    return [process for process in found.values() if _is_alive(process)]


def end(layout: Layout) -> list[int]:
    """Terminate the processes, then kill the rest; returns the ids of all."""
    processes = find(layout)
    with contextlib.ExitStack() as stack:
        handles = dict(_handles(processes, stack))
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for handle in handles.values():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, sig)
            ended = _wait(handles.values())
            handles = {pid: handle for pid, handle in handles.items() if handle not in ended}
    return [process.pid for process in processes]


def _handles(processes: Iterable[psutil.Process], stack: contextlib.ExitStack) -> Iterable[tuple[int, int]]:
    """A descriptor for each process that is still the same one."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(process.pid)
            stack.callback(os.close, handle)
            # This compares the time at which the process began.
            if process.is_running():
                yield process.pid, handle


def _wait(handles: Iterable[int]) -> set[int]:
    """Wait until all processes have ended or the grace time has passed; returns those that have ended.

    A process that has ended counts even if its parent has not collected it (a zombie): process 1 of a container may
    never collect it.
    """
    poll = select.poll()
    left = set(handles)
    for handle in left:
        poll.register(handle, select.POLLIN)
    deadline = time.monotonic() + GRACE_S
    ended: set[int] = set()
    while left and (remaining := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(remaining * 1000):
            poll.unregister(handle)
            left.discard(handle)
            ended.add(handle)
    return ended


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
