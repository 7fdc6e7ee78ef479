"""Runs batches: makes chunks of their parts, dispatches these in parallel, and returns what became of each part."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from hashlib import blake2b

from api.batch.outcomes import Result, doubted
from api.batch.split import Groups, Part
from api.overload.errors import OverloadedError
from api.queue.dispatcher import Dispatcher
from api.queue.errors import ShardsSilentError
from api.queue.pending import NOBODY, Caller
from api.queue.topology import Topology
from protocol.buckets import ShardMapError
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Rounds with a fresh shard map after `WRONG_BUCKET`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an `Idempotency-Key` stands for in the store. `repeated`: an earlier try may have applied something.

    `asked_ms` is the Unix time in milliseconds at which the claim was made.
    """

    id: str
    repeated: bool
    asked_ms: int

    def chunk_id(self, operation: Operation, body: bytes) -> bytes:
        """The id of a chunk of this content: the same in every try."""
        return blake2b(bytes((operation,)) + body, digest_size=16, key=self.id.encode()).digest()


class Batches:
    """Runs batches."""

    def __init__(self, dispatcher: Dispatcher, topology: Topology, settings: BatchSettings) -> None:
        self._dispatcher = dispatcher
        self._topology = topology
        self._timeout_ms = int(settings.request_timeout_s * 1000)

    def groups(self) -> Groups:
        """An empty batch to fill."""
        return Groups(self._topology.map)

    async def run(
        self,
        operation: Operation,
        groups: Groups,
        *,
        retain_ms: int = 0,
        claim: Claim | None = None,
        caller: Caller = NOBODY,
        arrived_ms: int | None = None,
    ) -> list[Result]:
        """Run `operation` on every part and return what became of each.

        With a `claim` chunks have the ids that they have in every try, fresh ones otherwise. `arrived_ms` is the Unix
        time in milliseconds at which the request arrived: its deadline counts from there.

        Raises:
            OverloadedError: not admitted; nothing was applied, now or by an earlier try under the same claim.
        """
        deadline_ms = _began_ms(arrived_ms, claim) + self._timeout_ms
        settled: list[Result] = []
        parts = groups.parts()
        for attempt in range(1, ATTEMPTS + 1):
            chunks = [(part.shard, self._chunk(operation, part, deadline_ms, retain_ms, claim)) for part in parts]
            try:
                outcomes = await self._dispatcher.dispatch(chunks, caller)
            except OverloadedError as error:
                if attempt == 1 and (claim is None or not claim.repeated):
                    raise
                # Other parts of the batch, or an earlier try, may have been applied: each key gets its own outcome.
                outcomes = [Outcome(chunk.id, Status.UNREACHABLE, str(error)) for _, chunk in chunks]
            results = [Result(part, outcome) for part, outcome in zip(parts, outcomes, strict=True)]
            misplaced = [result for result in results if result.outcome.status == Status.WRONG_BUCKET]
            learnt = bool(misplaced) and attempt < ATTEMPTS and await self._learn_again()
            if claim is not None and claim.repeated:
                # The client's next try uses the new map. In this one a copy of an earlier try may still be applied.
                return [Result(result.part, doubted(result.outcome)) for result in results]
            if not learnt:
                return settled + results if settled else results
            settled += [result for result in results if result.outcome.status != Status.WRONG_BUCKET]
            regrouped = self.groups()
            regrouped.add_again(operation, (result.part for result in misplaced))
            parts = regrouped.parts()
        return settled

    def _chunk(self, operation: Operation, part: Part, deadline_ms: int, retain_ms: int, claim: Claim | None) -> Chunk:
        if claim is not None:
            chunk_id = claim.chunk_id(operation, part.body)
        elif operation is Operation.WRITE:
            chunk_id = self._dispatcher.ids.next_write(part.shard)
        else:
            chunk_id = self._dispatcher.ids.next()
        return Chunk(chunk_id, operation, deadline_ms, retain_ms, len(part.keys), part.body)

    async def _learn_again(self) -> bool:
        """Ask the shards again which buckets they own; False if they do not tell."""
        try:
            await self._topology.refresh()
        except (ShardMapError, ShardsSilentError) as error:
            _log.warning("the shard map could not be learnt again", extra={"error": str(error)})
            return False
        return True


def _began_ms(arrived_ms: int | None, claim: Claim | None) -> int:
    """From when the time of a request counts: its arrival, its claim where that is unknown, and now otherwise."""
    if arrived_ms is not None:
        return arrived_ms
    return claim.asked_ms if claim is not None else now_ms()
