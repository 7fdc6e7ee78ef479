"""Faults inside a shard: its disk is full, its memory is full, its clock is wrong, its files are damaged."""

from __future__ import annotations

import resource
from contextlib import ExitStack, suppress
from pathlib import Path

from localcluster.cluster import Cluster
from tests.faults.console import evaluate
from tests.integration.store import Store

_SET_CLOCK = """
    (function()
        local clock = require('tarantkv.clock')
        usual_now_ms = rawget(_G, 'usual_now_ms') or clock.now_ms
        clock.now_ms = function() return usual_now_ms() + (%d) end
        return clock.now_ms()
    end)()
"""
"""Every procedure of a shard reads the time through this one function."""


class DiskFull:
    """The shard's process cannot extend any file: a write fails as on a full disk, but with another errno.

    Python ignores SIGXFSZ, and a shard inherits that from its launcher, so it gets the error and is not killed.
    """

    def __init__(self, shard: str) -> None:
        self.name = f"shard-{shard}-disk-full"
        self._program = f"shard-{shard}"
        self._pid = 0

    def start(self, cluster: Cluster) -> None:
        """Allow no more bytes."""
        self._pid = cluster.pid(self._program)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def stop(self, cluster: Cluster) -> None:
        """Remove the limit; a process that was started meanwhile never had it."""
        if self._pid and self._pid == cluster.pid(self._program):
            with suppress(ProcessLookupError):
                resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self._pid = 0


class MemoryFull:
    """The shard's memory has no room for more data."""

    def __init__(self, shard: str) -> None:
        self.name = f"shard-{shard}-memory-full"
        self._shard = shard
        self._filled = ExitStack()

    def start(self, cluster: Cluster) -> None:
        """Fill it."""
        self._filled.enter_context(Store(cluster).full(self._shard))

    def stop(self, cluster: Cluster) -> None:
        """Free the memory again."""
        del cluster
        self._filled.close()


class ReadOnlyShard:
    """The shard accepts no changes, like a replica or a former leader."""

    def __init__(self, shard: str) -> None:
        self.name = f"shard-{shard}-read-only"
        self._shard = shard
        self._read_only = ExitStack()

    def start(self, cluster: Cluster) -> None:
        """Switch it."""
        self._read_only.enter_context(Store(cluster).read_only(self._shard))

    def stop(self, cluster: Cluster) -> None:
        """Switch it back."""
        del cluster
        self._read_only.close()


class ShardClock:
    """The shard's clock is wrong by some seconds: ahead if positive. A restart sets it right."""

    def __init__(self, shard: str, offset_s: int) -> None:
        self.name = f"shard-{shard}-clock-{offset_s:+d}s"
        self._shard = shard
        self._offset_s = offset_s

    def start(self, cluster: Cluster) -> None:
        """Set it wrong."""
        self._set(cluster, self._offset_s)

    def stop(self, cluster: Cluster) -> None:
        """Set it right."""
        self._set(cluster, 0)

    def _set(self, cluster: Cluster, offset_s: int) -> None:
        evaluate(cluster.console_socket(self._shard), " ".join((_SET_CLOCK % (offset_s * 1000)).split()))


def settle_clock(cluster: Cluster, shard: str) -> None:
    """Correct a shard's clock that was ahead at once, for the next tests. By itself it would take eight times as long.

    The shard may then repeat versions that it gave while it was ahead.
    """
    position = [each.name for each in cluster.config.shards].index(shard) + 1
    space = "box.space.clock"
    settle = f"{space}:delete('mark'), require('tarantkv.shard_clock').attach({space}, {position})"
    evaluate(cluster.console_socket(shard), settle)


def newest(directory: Path, suffix: str) -> Path:
    """The newest snapshot (`snap`) or log (`xlog`) of a shard; their names are positions in its history."""
    return max(directory.glob(f"*.{suffix}"))


def flip_bytes(path: Path, at: int, count: int = 8) -> bytes:
    """Invert every bit of `count` bytes of a file; returns the former content, so that it can be restored."""
    before = path.read_bytes()
    damaged = bytearray(before)
    for position in range(at, min(at + count, len(before))):
        damaged[position] ^= 0xFF
    path.write_bytes(damaged)
    return before
