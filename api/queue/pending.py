"""Chunks that wait for their outcome, by chunk id, and the requests that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from api.overload.memory_budgets import AnswerBudget
from protocol.frames import Chunk, Outcome
from protocol.operations import Status

SMALL_ANSWER = 4096
"""Bytes of a chunk's answer that are not worth counting: there are never more of these than chunks under way."""


_NOT_APPLIED = frozenset((Status.UNREACHABLE, Status.EXPIRED))
_OK = Status.OK


class Gathering:
    """The outcomes of one request's chunks, complete when `future` is done.

    `ends` is when their deadline is on the monotonic clock: no step of the system's makes a request wait for longer.
    """

    __slots__ = ("_missing", "ends", "future", "outcomes", "share")

    def __init__(
        self,
        chunks: int,
        loop: asyncio.AbstractEventLoop,
        share: AnswerBudget.Share | None = None,
        ends: float = float("inf"),
    ) -> None:
        self.share = share
        self.ends = ends
        self.outcomes: list[Outcome | None] = [None] * chunks
        self.future: asyncio.Future[None] = loop.create_future()
        self._missing = chunks

    def put(self, position: int, outcome: Outcome) -> None:
        """Take the outcome of the chunk at `position`."""
        self.outcomes[position] = outcome
        self._missing -= 1
        if not self._missing and not self.future.done():
            self.future.set_result(None)


class SentFrame:
    """A frame in a shard's stream: how many of its chunks still wait, and whether they were given up.

    `entry_id` is None until Redis has named it.
    """

    __slots__ = ("entry_id", "given_up", "shard", "waiting")

    def __init__(self, shard: str, waiting: int) -> None:
        self.entry_id: bytes | None = None
        self.given_up = False
        self.shard = shard
        self.waiting = waiting


class Pending:
    """A chunk under way. `sends` counts how often it was handed to Redis, or may have been."""

    __slots__ = ("chunk", "frame", "gathering", "position", "sends", "shard", "trace", "user")

    def __init__(
        self,
        shard: str,
        chunk: Chunk,
        gathering: Gathering,
        position: int,
        trace: str | None,
        user: str | None = None,
    ) -> None:
        self.shard = shard
        self.chunk = chunk
        self.gathering = gathering
        self.position = position
        self.trace = trace
        self.user = user
        self.sends = 0
        self.frame: SentFrame | None = None

    def settle(self, outcome: Outcome) -> None:
        """Hand the outcome to the request.

        A chunk that was sent more than once may have been applied by an earlier copy, whatever the last one's worker
        knows: then "not reached" and "came too late" are "unknown".
        """
        _, status, payload = outcome
        if status in _NOT_APPLIED and self.sends > 1:
            outcome = outcome._replace(status=Status.UNKNOWN)
        share = self.gathering.share
        if share is not None and status == _OK and len(payload) > SMALL_ANSWER and not share.take(len(payload)):
            reason = "answers that wait to be sent take as much memory as is allowed"
            outcome = Outcome(self.chunk.id, Status.NO_MEMORY, reason)
        self.gathering.put(self.position, outcome)


class PendingChunks:
    """All chunks under way in this process."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, Pending] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._by_id.values()))

    def __contains__(self, chunk_id: bytes) -> bool:
        return chunk_id in self._by_id

    def add(self, pending: Pending) -> None:
        """Begin to wait for a chunk; its id must not be waited for already."""
        if pending.chunk.id in self._by_id:
            raise ValueError(f"chunk {pending.chunk.id.hex()} is under way already")
        self._by_id[pending.chunk.id] = pending

    def take(self, chunk_id: bytes) -> Pending | None:
        """Stop waiting for a chunk; None if nobody waits for it (a second answer, or one that came too late)."""
        pending = self._by_id.pop(chunk_id, None)
        if pending is not None and pending.frame is not None:
            pending.frame.waiting -= 1
        return pending

    def overdue(self, now: float) -> list[Pending]:
        """The chunks whose deadline is before `now`, on the monotonic clock."""
        return [pending for pending in self._by_id.values() if pending.gathering.ends < now]
