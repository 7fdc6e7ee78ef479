"""Has the shards know how far the moves of their buckets are: `/api/status`, and so the console, show it.

That is for people. A shard that cannot be told is told the next time; no move waits or fails for it.
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
        """Have one of them know how far the moves of its buckets are; none: nothing moves."""


class Telling:
    """Tells during one run."""

    def __init__(self, shards: Shards, clock: Callable[[], float] = time.monotonic) -> None:
        self._shards = shards
        self._clock = clock
        self._told_at = float("-inf")
        self._told: set[str] = set()

    def tell(self, progress: Progress) -> None:
        """Tell each shard that gives buckets, at most once a second."""
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
        """The run is over, however it has ended: nothing moves any more."""
        for source in sorted(self._told):
            with suppress(StorageError):
                self._shards.tell(source, ())
        self._told.clear()
