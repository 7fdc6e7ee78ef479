"""How much may be under way: chunks and bytes per shard, and bytes of request bodies per process.

Overload is answered here, before anything is sent, with a 503 and `Retry-After`. All counts are of one api process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from api.problems import Kind, Problem, retry_later


class Admission:
    """Counts what is under way for each shard."""

    def __init__(self, shards: Sequence[str], *, max_chunks: int, max_bytes: int) -> None:
        self._max_chunks = max_chunks
        self._max_bytes = max_bytes
        self.chunks = dict.fromkeys(shards, 0)
        self.bytes = dict.fromkeys(shards, 0)

    def admit(self, parts: Iterable[tuple[str, int]]) -> None:
        """Count `(shard, bytes)` of every part in, or none of them.

        Raises:
            Problem: 503, one shard has too much under way.
        """
        admitted: list[tuple[str, int]] = []
        for shard, size in parts:
            # A shard with nothing under way takes any chunk: one may be larger than a small limit allows.
            full = self.chunks[shard] >= self._max_chunks or (
                self.chunks[shard] > 0 and self.bytes[shard] + size > self._max_bytes
            )
            if full:
                for done in admitted:
                    self.release(*done)
                raise overloaded(f"shard {shard} has as much under way as is allowed")
            self.chunks[shard] += 1
            self.bytes[shard] += size
            admitted.append((shard, size))

    def release(self, shard: str, size: int) -> None:
        """Count a part out again."""
        self.chunks[shard] -= 1
        self.bytes[shard] -= size


class BodyBudget:
    """Counts the bytes of the request bodies that are held at a time."""

    class Share:
        """What one request holds, given back at the end of its `with` block."""

        __slots__ = ("_budget", "_size")

        def __init__(self, budget: BodyBudget) -> None:
            self._budget = budget
            self._size = 0

        def add(self, size: int) -> None:
            """Hold `size` bytes more.

            Raises:
                Problem: 503, other bodies take the room.
            """
            budget = self._budget
            if budget.held > self._size and budget.held + size > budget.max_bytes:
                raise overloaded("request bodies take as much memory as is allowed")
            budget.held += size
            self._size += size

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self._budget.held -= self._size
            self._size = 0

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0

    def share(self) -> Share:
        """The share of one request, empty at first."""
        return self.Share(self)


def overloaded(detail: str) -> Problem:
    """The answer to what was not admitted: nothing of it was applied."""
    return retry_later(Kind.OVERLOADED, f"{detail}; nothing was applied")
