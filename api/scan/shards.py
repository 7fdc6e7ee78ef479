"""Asks shards for pieces of scans: each shard for one at a time, and not before the time that it named.

Requests have priority over scans. A shard whose scans have had their share of its time says when to ask again; all
scans of this process wait for that in one line, so that each gets its turn and none asks in vain.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from api.overload.errors import OverloadedError
from api.queue.pending import Caller
from protocol.chunks import ChunkError
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.scans import Asked, Piece, State, decode_piece

RETRY_S = 0.02
"""First wait after a chunk was not admitted; each further one is twice as long, up to `LONGEST_RETRY_S`."""

LONGEST_RETRY_S = 0.5

REST_S = 20e-6
"""For each key that was read, scans pause this long while this process has other requests: four times the time that a
key costs it."""

BESIDE_OTHERS = 250
"""Keys in one piece while this process has other requests: they wait about a millisecond while it is processed."""

OTHERS_S = 0.1
"""Other requests count for this long after they were seen."""


class Ids(Protocol):
    """Makes ids of chunks."""

    def next(self) -> bytes:
        """Make a unique id."""


class Dispatcher(Protocol):
    """Sends chunks."""

    @property
    def ids(self) -> Ids:
        """The ids of its chunks."""

    @property
    def waiting(self) -> int:
        """How many chunks wait for their outcome."""

    async def dispatch(self, parts: list[tuple[str, Chunk]], caller: Caller) -> Sequence[Outcome]:
        """Send chunks and return their outcomes."""


class Failure(NamedTuple):
    """Why a shard returned no piece."""

    shard: str
    status: int
    text: str


@dataclass(slots=True)
class _Turn:
    """The right to ask a shard, and the earliest time, by the loop's clock."""

    lock: asyncio.Lock
    earliest: float = 0.0


class ScanShards:
    """Asks the shards for all scans of this process."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._turns: dict[str, _Turn] = {}
        self._under_way = 0
        self._others_until = self._rest_until = float("-inf")

    @property
    def have_others(self) -> bool:
        """Whether this process had other requests than scans a moment ago."""
        return self._others_until > asyncio.get_running_loop().time()

    async def ask(self, shard: str, asked: Asked, caller: Caller, until: float) -> tuple[Piece, int] | Failure:
        """The next piece of a shard, and its size in bytes. `until` is the deadline, by the loop's time."""
        turn = self._turns.get(shard)
        if turn is None:
            turn = self._turns[shard] = _Turn(asyncio.Lock())
        try:
            async with asyncio.timeout_at(until):
                await turn.lock.acquire()
        except TimeoutError:
            return Failure(shard, Status.TOO_MANY, "other scans take the time that the shard has for scans")
        try:
            return await self._ask(turn, shard, asked, caller, until)
        finally:
            turn.lock.release()

    async def _ask(
        self, turn: _Turn, shard: str, asked: Asked, caller: Caller, until: float
    ) -> tuple[Piece, int] | Failure:
        loop = asyncio.get_running_loop()
        if self.have_others:
            asked = asked._replace(limit=min(asked.limit, BESIDE_OTHERS))
        body = asked.body()
        retry_s = RETRY_S
        failure = Failure(shard, Status.TOO_MANY, "the shard's time for scans is taken")
        while True:
            self._look_for_others(loop.time())
            wait_s = max(turn.earliest, self._rest_until) - loop.time()
            if loop.time() + max(wait_s, 0.0) >= until:
                return failure
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            deadline_ms = time.time_ns() // 1_000_000 + int((until - loop.time()) * 1000)
            chunk = Chunk(self._dispatcher.ids.next(), Operation.SCAN, deadline_ms, 0, asked.limit, body)
            self._under_way += 1
            try:
                (outcome,) = await self._dispatcher.dispatch([(shard, chunk)], caller)
            except OverloadedError as error:
                # Other requests come first. An export has time, and a page has time until its deadline.
                failure = Failure(shard, Status.TOO_MANY, str(error))
                turn.earliest = loop.time() + retry_s * (1 + random.random())  # noqa: S311 - jitter is no secret
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)
                continue
            finally:
                self._under_way -= 1
            if outcome.status != Status.OK:
                return Failure(shard, outcome.status, outcome.text)
            try:
                piece = decode_piece(outcome.payload)
            except ChunkError as error:
                return Failure(shard, Status.REFUSED, str(error))
            now = loop.time()
            turn.earliest = now + piece.wait_s
            self._look_for_others(now)
            if self._others_until > now:
                self._rest_until = max(self._rest_until, now) + REST_S * len(piece.items)
            if piece.state != State.NOT_NOW:
                return piece, len(outcome.payload)
            # Scans of other processes were told the same time.
            turn.earliest += piece.wait_s * random.random()  # noqa: S311 - as above

    def _look_for_others(self, now: float) -> None:
        """Note whether this process has other requests than scans: they come first."""
        if self._dispatcher.waiting > self._under_way:
            self._others_until = now + OTHERS_S
