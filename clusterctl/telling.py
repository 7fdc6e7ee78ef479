"""Tells the shards how many moves of their buckets are done, which `/api/status` and the console then show.

That is for people only. If a shard cannot be told, no move waits or fails: it is told the next time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from clusterctl.rebalance import Progress, Told
from clusterctl.storages import StorageError

TELL_EVERY_S = 1.0


class Shards(Protocol):
    """The replica sets."""

    def tell(self, name: str, moves: Sequence[Told]) -> None:
        """Tell a replica set how many moves of its buckets are done. An empty list: no bucket moves."""


class Telling:
    """Tells the shards of the moves of one run."""

    def __init__(self, shards: Shards, clock: Callable[[], float] = time.monotonic) -> None:
        self._shards = shards
        self._clock = clock
        self._told_at = float("-inf")
        self._told: set[str] = set()

    def tell(self, progress: Progress) -> None:
        """Tell each shard whose buckets move away, at most once in `TELL_EVERY_S`."""
        now = self._clock()
        if now - self._told_at < TELL_EVERY_S:
            return
        left_s = progress.left_s()
        for source in sorted({source for source, _ in progress.by_way}):
            moves = [
                Told(target, done, total, left_s)
                for (giver, target), (done, total) in progress.by_way.items()
                if giver == source and done < total
            ]
            self._told.add(source)
            with suppress(StorageError):
                self._shards.tell(source, moves)
        self._told_at = self._clock()

    def end(self) -> None:
        """Tell the shards that the run has ended and no bucket moves any more."""
        for source in sorted(self._told):
            with suppress(StorageError):
                self._shards.tell(source, ())
        self._told.clear()
