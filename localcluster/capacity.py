"""How many workers this machine can run: a bound that keeps a typing error from filling its memory."""

import os

import psutil

WORKERS_PER_PROCESSOR = 8
WORKER_MIB = 64
"""Memory of one worker: 37 MiB resident after its start (measured), and its frames."""

_MEBIBYTE = 1024 * 1024


def most_workers() -> tuple[int, str]:
    """The largest number of workers for this machine, and the reason in words.

    The total memory counts, not the free memory: so the limit does not change from minute to minute.
    """
    processors = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total // _MEBIBYTE
    by_processors = WORKERS_PER_PROCESSOR * processors
    by_memory = memory // 2 // WORKER_MIB
    if by_memory < by_processors:
        return max(1, by_memory), f"{WORKER_MIB} MiB each, of half of its {memory} MiB of memory"
    return by_processors, f"{WORKERS_PER_PROCESSOR} for each of its {processors} processors"
