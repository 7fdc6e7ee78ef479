"""The ids that an api process gives to its chunks: in sequence for the writes of each shard.

A shard records the chunks of one transaction as runs of consecutive ids, so a sequence makes its records smaller. Any
unique ids would be correct.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

ID_BYTES = 16
_PROCESS_BYTES = 8
_SEQUENCE_BYTES = 2
_COUNTER_BYTES = ID_BYTES - _PROCESS_BYTES - _SEQUENCE_BYTES


class _Sequence:
    """Makes consecutive ids."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._count = 0

    def next(self) -> bytes:
        self._count += 1
        return self._prefix + self._count.to_bytes(_COUNTER_BYTES, "big")


class ChunkIds:
    """Makes unique ids of 16 bytes: half of each is random for this process."""

    def __init__(self, shards: Iterable[str]) -> None:
        self._process = secrets.token_bytes(_PROCESS_BYTES)
        self._sequences = 0
        self.next = self._sequence()
        """Makes an id that belongs to no shard's sequence."""
        self._writes = {shard: self._sequence() for shard in shards}

    def next_write(self, shard: str) -> bytes:
        """The next id of a shard's sequence; its chunk must be sent in this order."""
        make = self._writes.get(shard)
        if make is None:
            # Never removed: a sequence that starts again would give ids a second time.
            make = self._writes[shard] = self._sequence()
        return make()

    def _sequence(self) -> Callable[[], bytes]:
        made = _Sequence(self._process + self._sequences.to_bytes(_SEQUENCE_BYTES, "big"))
        self._sequences += 1
        return made.next
