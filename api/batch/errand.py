"""Runs one batch: makes chunks of its parts, and sends parts again that shards refuse because buckets have moved.

A refusal names its buckets and their shards. Keys of buckets that it does not name, or whose shard it names, are sent
at once; keys of moving buckets are sent again every 10 to 20 ms until the deadline. The shard has the refusal of a
change on record: it is final, and no copy of the chunk can be applied when the bucket returns. So the keys may be sent
in other chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import Any, TypeAlias

from api.batch.by_bucket import Piece, PiecedPart, parts_of, pieces_of, result_by_piece
from api.batch.outcomes import Result
from api.batch.split import Groups, Part
from api.overload.errors import OverloadedError
from api.queue.dispatcher import Dispatcher
from api.queue.pending import NOBODY, Caller
from api.queue.topology import WAIT_S, Topology
from protocol.backoff import Backoff
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status

ROUNDS_AT_ONCE = 3
"""How often a refused part is sent again without a wait if its shard is known: two shards that name each other as the
owner must not be asked without end."""

_WRONG_BUCKET = Status.WRONG_BUCKET

ON_ITS_WAY = "a bucket is on its way to another shard"


Results: TypeAlias = list[Result] | Coroutine[Any, Any, list[Result]]
"""The outcomes of a batch's parts; or the work that is left until they are known, because a bucket has moved."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of an `Idempotency-Key` in the store. `repeated`: an earlier try may have applied something.

    `asked_ms` is the Unix time in milliseconds at which the claim was made.
    """

    id: str
    repeated: bool
    asked_ms: int
    step: int = 0
    """The number of the batch, if a request makes several batches of the same keys, one after the other."""

    def of_step(self, step: int) -> Claim:
        """The same claim for another batch of the request: the records of one batch do not answer another."""
        return replace(self, step=step) if step else self

    @property
    def name_of_pieces(self) -> str:
        """The text from which the tokens of pieces are derived."""
        return f"{self.id}/{self.step}" if self.step else self.id

    def chunk_id(self, operation: Operation, body: bytes, refused: int = 0) -> bytes:
        """The id of a chunk with this content that was refused this many times: the same in every try."""
        content = bytes((operation,)) + body + (refused.to_bytes(4, "big") if refused else b"")
        return blake2b(content, digest_size=16, key=self.id.encode()).digest()


class Errand:
    """Runs one batch; its chunks share these attributes. `deadline_ms` is Unix time in milliseconds."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        topology: Topology,
        operation: Operation,
        deadline_ms: int,
        *,
        retain_ms: int = 0,
        claim: Claim | None = None,
        caller: Caller = NOBODY,
    ) -> None:
        self._dispatcher = dispatcher
        self._topology = topology
        self._operation = operation
        self._deadline_ms = deadline_ms
        self._retain_ms = retain_ms
        self._claim = claim
        self._caller = caller
        self._by_bucket = claim is not None and topology.buckets_move

    async def run(self, parts: Sequence[Part]) -> list[Result]:
        """Send the parts of the batch, and again what shards refuse because of buckets. Returns the outcome of each
        part.

        Raises:
            OverloadedError: not admitted; nothing was applied, now or by an earlier try under the same claim.
        """
        if self._by_bucket:
            parts = self._by_bucket_again(await pieces_of(self._operation, parts, self._topology.map.bucket_count))
        try:
            results = await self.send(parts)
        except OverloadedError as error:
            if self._claim is None or not self._claim.repeated:
                raise
            # An earlier try may have been applied: each key gets its own outcome.
            results = not_admitted(parts, error)
        if _are_misplaced(results):
            results = await self.follow(results)
        if self._by_bucket:
            results = [each for result in results for each in result_by_piece(self._operation, result)]
        return results

    def begin(self, parts: Sequence[Part], done: Callable[[Results], None]) -> None:
        """Send the parts of a small batch without a claim; `done` is called now or later.

        Raises:
            OverloadedError: not admitted; nothing was applied, and `done` is not called.
        """
        self._dispatcher.begin(self._chunks(parts, 0), self._caller, partial(self._settled, parts, done))

    def _settled(self, parts: Sequence[Part], done: Callable[[Results], None], outcomes: Sequence[Outcome]) -> None:
        results = list(map(Result, parts, outcomes))
        done(self.follow(results) if _are_misplaced(results) else results)

    async def send(self, parts: Sequence[Part], refused: int = 0) -> list[Result]:
        """Send each part once; `refused` is how often its keys were refused before.

        Raises:
            OverloadedError: not admitted; nothing was sent.
        """
        outcomes = await self._dispatcher.dispatch(self._chunks(parts, refused), self._caller)
        return [Result(part, outcome) for part, outcome in zip(parts, outcomes, strict=True)]

    async def follow(self, results: list[Result], refused: int = 1) -> list[Result]:
        """Send again what shards refused because of buckets, until they refuse nothing or the deadline has passed."""
        settled: list[Result] = []
        pauses = Backoff(WAIT_S, WAIT_S)
        while misplaced := [result for result in results if result.outcome.status == Status.WRONG_BUCKET]:
            settled += [result for result in results if result.outcome.status != Status.WRONG_BUCKET]
            placed, waiting = await self._regroup(misplaced)
            pause_s = pauses.next_s()
            if now_ms() + pause_s * 1000 >= self._deadline_ms:
                return settled + [_given_up(result) for result in misplaced]
            soon_s = 0.0 if refused <= ROUNDS_AT_ONCE else pause_s
            if placed and waiting:
                # Neither group waits for the other.
                both = [
                    self._resend_and_follow(placed, soon_s, refused),
                    self._resend_and_follow(waiting, pause_s, refused),
                ]
                for followed in await asyncio.gather(*both):
                    settled += followed
                return settled
            results = await self._resend(placed or waiting, pause_s if waiting else soon_s, refused)
            refused += 1
        return settled + results

    async def _resend_and_follow(self, parts: Sequence[Part], after_s: float, refused: int) -> list[Result]:
        return await self.follow(await self._resend(parts, after_s, refused), refused + 1)

    async def _resend(self, parts: Sequence[Part], after_s: float, refused: int) -> list[Result]:
        await asyncio.sleep(after_s)
        try:
            return await self.send(parts, refused)
        except OverloadedError as error:
            # Other parts of the batch may have been applied: each key gets its own outcome.
            return not_admitted(parts, error)

    async def _regroup(self, misplaced: Sequence[Result]) -> tuple[Sequence[Part], Sequence[Part]]:
        """Group the refused keys into new parts: those whose shard is known now, and those that must wait."""
        lessons = [self._topology.learn(result.outcome.payload) for result in misplaced]
        if any(lesson.unknown for lesson in lessons):
            await self._topology.try_refresh()
        parts = [result.part for result in misplaced]
        waits = frozenset[int]().union(*(lesson.waits for lesson in lessons))
        if self._by_bucket:
            pieces = [piece for part in parts if isinstance(part, PiecedPart) for piece in part.pieces]
            return (
                self._by_bucket_again([piece for piece in pieces if piece.bucket not in waits]),
                self._by_bucket_again([piece for piece in pieces if piece.bucket in waits]),
            )
        placed, waiting = Groups(self._topology.map), Groups(self._topology.map)
        placed.add_again(self._operation, parts, without=waits)
        waiting.add_again(self._operation, parts, only=waits)
        return placed.parts(), waiting.parts()

    def _by_bucket_again(self, pieces: Sequence[Piece]) -> list[Part]:
        claim = self._claim.name_of_pieces if self._claim is not None else ""
        return parts_of(self._operation, pieces, claim, self._topology.map)

    def _chunks(self, parts: Sequence[Part], refused: int) -> list[tuple[str, Chunk]]:
        return [(part.shard, self._chunk(part, refused)) for part in parts]

    def _chunk(self, part: Part, refused: int) -> Chunk:
        operation = self._operation
        if self._by_bucket:
            # The records of its buckets tell a retry what was applied, so the id does not have to.
            chunk_id, operation = self._dispatcher.ids.next(), Operation.KEYED
        elif self._claim is not None:
            chunk_id = self._claim.chunk_id(self._operation, part.body, refused)
        elif self._operation is Operation.WRITE:
            chunk_id = self._dispatcher.ids.next_write(part.shard)
        else:
            chunk_id = self._dispatcher.ids.next()
        return Chunk(chunk_id, operation, self._deadline_ms, self._retain_ms, len(part.keys), part.body)


def _are_misplaced(results: Sequence[Result]) -> bool:
    """Whether a shard refused a part because of its buckets."""
    return _WRONG_BUCKET in [result.outcome.status for result in results]


def not_admitted(parts: Sequence[Part], error: OverloadedError) -> list[Result]:
    """The outcomes of parts that were not sent."""
    return [Result(part, Outcome(b"", Status.UNREACHABLE, str(error))) for part in parts]


def _given_up(result: Result) -> Result:
    return Result(result.part, result.outcome._replace(payload=ON_ITS_WAY))
