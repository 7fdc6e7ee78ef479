"""What became of the parts of a batch, and the problem that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.batch.split import Part
from api.http.problems import Kind, Problem, retry_later
from protocol.frames import Outcome
from protocol.operations import READS, Operation, Status

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

_OK = Status.OK

_SEVERITY = [
    Kind.CONDITION_FAILED,
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


@dataclass(slots=True)
class Verdict:
    """What failed of a batch of `total` keys: the word of each key that did, and the reasons, by shard."""

    total: int
    failed: dict[str, str] = field(default_factory=dict)
    reasons: list[dict[str, object]] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)

    def add(self, kind: Kind, word: str, keys: Sequence[str], **reason: object) -> None:
        """Add keys that failed for the same reason."""
        self.kinds.append(kind)
        self.failed.update(dict.fromkeys(keys, word))
        self.reasons.append({"shard": reason.pop("shard"), "code": reason.pop("code"), "keys": len(keys), **reason})

    def problem(self, members: Mapping[str, Any] | None = None) -> Problem:
        """The worst of what happened, with what happened to each key that failed, and further members."""
        worst = max(self.kinds, key=_SEVERITY.index)
        every = {"failed": self.failed, **(members or {}), "reasons": self.reasons}
        detail = f"{len(self.failed)} of {self.total} keys failed; 'failed' tells what happened to each"
        if worst.status == 503:
            return retry_later(worst, detail, members=every)
        return Problem(worst, detail, members=every)


def judge(results: Sequence[Result], operation: Operation) -> Verdict:
    """Which parts of a batch failed, and why."""
    verdict = Verdict(sum(len(result.part.keys) for result in results))
    is_read = operation in READS
    for result in results:
        status = result.outcome.status
        if status == Status.OK:
            continue
        known = Status(status) if status in Status.__members__.values() else Status.UNKNOWN
        kind, code = _KINDS_OF_READS.get(known, _KINDS[known]) if is_read else _KINDS[known]
        word = NOT_READ if is_read else UNKNOWN if known is Status.UNKNOWN else NOT_APPLIED
        verdict.add(kind, word, result.part.keys, shard=result.part.shard, code=code, detail=result.outcome.text)
    return verdict


def check(results: Sequence[Result], operation: Operation) -> None:
    """Check that every part of a batch succeeded.

    Raises:
        Problem: the worst of what happened, with what happened to each key that failed.
    """
    for result in results:
        if result.outcome.status != _OK:
            raise judge(results, operation).problem()


def some_of(results: Sequence[Result], operation: Operation) -> tuple[Sequence[Result], dict[str, Any]]:
    """The parts of a read that succeeded, if any did, and the members of an answer that say what failed.

    Raises:
        Problem: all of them failed.
    """
    found = [result for result in results if result.outcome.status == Status.OK]
    if len(found) == len(results):
        return results, {}
    verdict = judge(results, operation)
    if not found:
        raise verdict.problem()
    return found, {"failed": verdict.failed, "status": "partial", "reasons": verdict.reasons}
