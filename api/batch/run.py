"""Batches: splits them into chunks, dispatches those in parallel, and makes one answer of the outcomes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from api.batch.split import Groups, Part
from api.http.problems import Kind, Problem, retry_later
from api.overload.shard_limits import AnswerBudget
from api.queue.dispatcher import Dispatcher, now_ms
from api.queue.topology import ShardsSilentError, Topology
from protocol.buckets import ShardMapError
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Rounds with a fresh shard map after `WRONG_BUCKET`."""

NOT_APPLIED = "not_applied"
UNKNOWN = "unknown"

_KINDS = {
    Status.EXPIRED: (Kind.OVERLOADED, "deadline_passed"),
    Status.WRONG_BUCKET: (Kind.SHARD_UNAVAILABLE, "bucket_moved"),
    Status.READ_ONLY: (Kind.SHARD_UNAVAILABLE, "read_only"),
    Status.NO_MEMORY: (Kind.DATABASE_REFUSED, "out_of_memory"),
    Status.TOO_LARGE: (Kind.DATABASE_REFUSED, "too_large"),
    Status.MALFORMED: (Kind.DATABASE_REFUSED, "refused"),
    Status.REFUSED: (Kind.DATABASE_REFUSED, "refused"),
    Status.UNREACHABLE: (Kind.SHARD_UNAVAILABLE, "unreachable"),
    Status.UNKNOWN: (Kind.OUTCOME_UNKNOWN, "no_answer"),
    Status.CONFLICT: (Kind.DATABASE_REFUSED, "refused"),
}

_SEVERITY = [
    Kind.SHARD_UNAVAILABLE,
    Kind.OVERLOADED,
    Kind.DATABASE_REFUSED,
    Kind.ANSWER_TOO_LARGE,
    Kind.OUTCOME_UNKNOWN,
]
"""Of several kinds of failure in one batch the last one here is the answer's."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an `Idempotency-Key` stands for in the store. `repeated`: an earlier try may have applied something.

    `asked_ms` is when the claim was made, from which the request's time counts.
    """

    id: str
    repeated: bool
    asked_ms: int

    def chunk_id(self, operation: Operation, body: bytes) -> bytes:
        """The id of a chunk of this content: the same in every try."""
        return blake2b(bytes((operation,)) + body, digest_size=16, key=self.id.encode()).digest()


@dataclass(slots=True)
class Result:
    """A part of a batch and what became of it."""

    part: Part
    outcome: Outcome


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
        trace: str | None = None,
        user: str | None = None,
        share: AnswerBudget.Share | None = None,
    ) -> list[Result]:
        """Run `operation` on every part and return what became of each.

        With a `claim` chunks have the ids that they have in every try, fresh ones otherwise. What is under way counts
        as `user`'s, and answers to reads in `share`.

        Raises:
            Problem: 503, not admitted; nothing was applied, now or by an earlier try under the same claim.
        """
        deadline_ms = (now_ms() if claim is None else claim.asked_ms) + self._timeout_ms
        settled: list[Result] = []
        parts = groups.parts()
        for attempt in range(1, ATTEMPTS + 1):
            chunks = [(part.shard, self._chunk(operation, part, deadline_ms, retain_ms, claim)) for part in parts]
            try:
                outcomes = await self._dispatcher.dispatch(chunks, trace, user, share)
            except Problem as problem:
                if attempt == 1 and (claim is None or not claim.repeated):
                    raise
                # Other parts of the batch, or an earlier try, may have been applied: each key gets its own outcome.
                outcomes = [Outcome(chunk.id, Status.UNREACHABLE, problem.detail) for _, chunk in chunks]
            if claim is not None and claim.repeated:
                outcomes = list(map(_doubted, outcomes))
            results = [Result(part, outcome) for part, outcome in zip(parts, outcomes, strict=True)]
            misplaced = [result for result in results if result.outcome.status == Status.WRONG_BUCKET]
            if not misplaced:
                return settled + results if settled else results
            if attempt == ATTEMPTS or not await self._learn_again():
                return settled + results
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
        try:
            await self._topology.refresh()
        except (ShardMapError, ShardsSilentError) as error:
            _log.warning("the shard map could not be learnt again", extra={"error": str(error)})
            return False
        return True


def _doubted(outcome: Outcome) -> Outcome:
    """The outcome of a chunk that an earlier try may have sent: that this one did not reach its shard says little."""
    if outcome.status in (Status.UNREACHABLE, Status.EXPIRED):
        return outcome._replace(status=Status.UNKNOWN)
    return outcome


def check(results: Sequence[Result], operation: Operation) -> None:
    """Check that every part of a batch went well.

    Raises:
        Problem: the worst of what happened, with what happened to each key that failed.
    """
    failures = [result for result in results if result.outcome.status != Status.OK]
    if not failures:
        return
    failed: dict[str, str] = {}
    reasons: list[dict[str, object]] = []
    kinds: list[Kind] = []
    for result in failures:
        status = result.outcome.status
        known = Status(status) if status in Status.__members__.values() else Status.UNKNOWN
        kind, code = _KINDS[known]
        if operation is Operation.READ and known is Status.TOO_LARGE:
            kind = Kind.ANSWER_TOO_LARGE
        elif operation is Operation.READ and known is Status.NO_MEMORY:
            kind, code = Kind.OVERLOADED, "answers_too_large"
        kinds.append(kind)
        failed.update(dict.fromkeys(result.part.keys, UNKNOWN if known is Status.UNKNOWN else NOT_APPLIED))
        reasons.append(
            {
                "shard": result.part.shard,
                "code": code,
                "keys": len(result.part.keys),
                "detail": result.outcome.text,
            }
        )
    worst = max(kinds, key=_SEVERITY.index)
    members = {"failed": failed, "reasons": reasons}
    total = sum(len(result.part.keys) for result in results)
    detail = f"{len(failed)} of {total} keys failed; 'failed' tells what happened to each"
    if worst.status == 503:
        raise retry_later(worst, detail, members=members)
    raise Problem(worst, detail, members=members)
