"""What became of the parts of a batch, and the problem that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.batch.split import Part
from api.http.problems import Kind, Problem, retry_later
from protocol.frames import Outcome
from protocol.operations import Operation, Status

NOT_APPLIED = "not_applied"
"""The change of this key never happens."""
UNKNOWN = "unknown"
"""The change of this key has happened, or may happen until its deadline."""
NOT_READ = "not_read"
"""The value of this key could not be read, which has no effect."""

_KINDS = {
    Status.EXPIRED: (Kind.DEADLINE_PASSED, "deadline_passed"),
    Status.WRONG_BUCKET: (Kind.SHARD_UNAVAILABLE, "bucket_moved"),
    Status.READ_ONLY: (Kind.SHARD_UNAVAILABLE, "read_only"),
    Status.NO_MEMORY: (Kind.DATABASE_REFUSED, "out_of_memory"),
    Status.TOO_LARGE: (Kind.DATABASE_REFUSED, "too_large"),
    Status.MALFORMED: (Kind.DATABASE_REFUSED, "refused"),
    Status.REFUSED: (Kind.DATABASE_REFUSED, "refused"),
    Status.UNREACHABLE: (Kind.SHARD_UNAVAILABLE, "unreachable"),
    Status.UNKNOWN: (Kind.OUTCOME_UNKNOWN, "no_answer"),
    Status.CONFLICT: (Kind.DATABASE_REFUSED, "refused"),
    Status.TOO_MANY: (Kind.OVERLOADED, "too_many"),
}

_KINDS_OF_READS = {
    Status.TOO_LARGE: (Kind.ANSWER_TOO_LARGE, "too_large"),
    Status.NO_MEMORY: (Kind.OVERLOADED, "answers_too_large"),
    Status.UNKNOWN: (Kind.SHARD_UNAVAILABLE, "no_answer"),
}
"""Where a read differs. It has no effect, so that nothing about it can be unknown."""

_SEVERITY = [
    Kind.SHARD_UNAVAILABLE,
    Kind.DEADLINE_PASSED,
    Kind.OVERLOADED,
    Kind.DATABASE_REFUSED,
    Kind.ANSWER_TOO_LARGE,
    Kind.OUTCOME_UNKNOWN,
]
"""Of several kinds of failure in one batch the last one here is the answer's."""


@dataclass(slots=True)
class Result:
    """A part of a batch and what became of it."""

    part: Part
    outcome: Outcome


def doubted(outcome: Outcome) -> Outcome:
    """The outcome of a change that an earlier try may have sent.

    Unless the shard has it on record, a copy of the earlier try may still be applied.
    """
    return outcome if outcome.status == Status.OK else outcome._replace(status=Status.UNKNOWN)


def check(results: Sequence[Result], operation: Operation) -> None:
    """Check that every part of a batch succeeded.

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
        is_read = operation is Operation.READ
        kind, code = _KINDS_OF_READS.get(known, _KINDS[known]) if is_read else _KINDS[known]
        word = NOT_READ if is_read else UNKNOWN if known is Status.UNKNOWN else NOT_APPLIED
        kinds.append(kind)
        failed.update(dict.fromkeys(result.part.keys, word))
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
