"""One phase of a run: generator processes that begin together, and the CPU time and memory of the system meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping

import msgspec

from loadtest.bench.accounting import memory, snapshot, spent
from loadtest.overload.generator import GRACE_S, Orders
from loadtest.overload.tally import Tally, merged

START_S = 2.0
"""Seconds in which every generator makes its requests and opens its connections."""

_SAMPLE_S = 1.0

Pids = Mapping[str, list[int]]


class Phase(msgspec.Struct):
    """The figures of one phase. CPU in seconds by tier; memory in bytes: at the beginning, the largest, at the end."""

    tally: Tally
    cpu_s: dict[str, float]
    machine_cpu_s: float
    memory: dict[str, tuple[int, int, int]]

    @property
    def rate(self) -> float:
        """Successes per second."""
        return self.tally.answered(200) / self.tally.seconds


class _MemoryWatch(threading.Thread):
    """Records the memory of every tier once a second."""

    def __init__(self, pids: Pids) -> None:
        super().__init__(daemon=True)
        self._pids = pids
        self._over = threading.Event()
        self.seen: dict[str, list[int]] = {name: [] for name in pids}

    def run(self) -> None:
        """Record until told to stop."""
        while True:
            for name, amount in memory(self._pids).items():
                self.seen[name].append(amount.rss)
            if self._over.wait(_SAMPLE_S):
                return

    def stop(self) -> dict[str, tuple[int, int, int]]:
        """Memory at the beginning, the largest, and at the end."""
        self._over.set()
        self.join()
        return {name: (sizes[0], max(sizes), sizes[-1]) for name, sizes in self.seen.items() if sizes}


def run(orders: Orders, generators: int, pids: Pids) -> Phase:
    """Run a phase with `generators` processes, which share the rate and the connections."""
    orders = msgspec.structs.replace(
        orders,
        rate=orders.rate / generators,
        connections=max(1, orders.connections // generators),
        start_at=time.time() + START_S,
    )
    processes = []
    for number in range(generators):
        process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.overload.generator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if process.stdin is None:
            raise AssertionError("the pipe was asked for")
        process.stdin.write(msgspec.json.encode(msgspec.structs.replace(orders, seed=number + 1)))
        process.stdin.close()
        process.stdin = None
        processes.append(process)
    try:
        time.sleep(max(0.0, orders.start_at - time.time()))
        watch = _MemoryWatch(pids)
        watch.start()
        before = snapshot(pids)
        time.sleep(orders.seconds)
        used = spent(before, snapshot(pids))
        outputs = [process.communicate(timeout=GRACE_S + 20)[0] for process in processes]
        sizes = watch.stop()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    tallies = [msgspec.json.decode(output, type=Tally) for output in outputs]
    return Phase(merged(tallies), used.tiers, used.machine, sizes)
