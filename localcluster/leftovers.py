"""Processes of a cluster that are still there when nobody supervises them: found, and ended."""

import contextlib

import psutil

from localcluster.programs import MARKER, Layout

# A pid file is written by the process itself, right after it began.
_CLOCK_SLACK_S = 1.0
_GRACE_S = 10.0


def find(layout: Layout) -> list[psutil.Process]:
    """By the mark in their environment, and by pid file, as Redis and Tarantool write their title over theirs."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARKER) == str(layout.data_dir):
                found[process.pid] = process
    for pid_file in layout.run_dir.glob("*.pid"):
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            process = psutil.Process(int(pid_file.read_text()))
            # A younger process only got a dead one's number.
            if process.create_time() <= pid_file.stat().st_mtime + _CLOCK_SLACK_S:
                found.setdefault(process.pid, process)
    return [process for process in found.values() if _is_alive(process)]


def end(layout: Layout) -> list[int]:
    """Terminate, then kill; returns the ids of what was there."""
    processes = find(layout)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _gone, alive = psutil.wait_procs(processes, timeout=_GRACE_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_S)
    return [process.pid for process in processes]


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
