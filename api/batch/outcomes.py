"""The outcomes of a batch's parts, and the problem that describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.batch.split import Part
from api.http.problems import Kind, Problem, retry_later
from protocol.frames import Outcome
from protocol.operations import READS, Operation, Status

NOT_APPLIED = "not_applied"
"""The change of this key was not made and will not be."""
UNKNOWN = "unknown"
"""The change of this key was made, or may be made until its deadline."""
NOT_READ = "not_read"
"""The value of this key could not be read; a read has no effect."""

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
"""How a read differs: it has no effect, so nothing about it can be unknown."""

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
"""If a batch fails in several ways, the last of these kinds is the answer's."""


@dataclass(slots=True)
class Result:
    """A part of a batch and its outcome."""

    part: Part
    outcome: Outcome


def doubted(outcome: Outcome) -> Outcome:
    """The outcome of a change that an earlier try may have sent.

    Unless the shard has it on record, a copy from the earlier try may still be applied.
    """
    return outcome if outcome.status == Status.OK else outcome._replace(status=Status.UNKNOWN)


@dataclass(slots=True)
class Verdict:
    """The failed keys of a batch of `total` keys: the reason of each key, and the reasons by shard."""

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
        """The problem of the worst failure, with the outcome of each failed key, and further members."""
        worst = max(self.kinds, key=_SEVERITY.index)
        every = {"failed": self.failed, **(members or {}), "reasons": self.reasons}
        detail = f"{len(self.failed)} of {self.total} keys failed; 'failed' tells what happened to each"
        if worst.status == 503:
            return retry_later(worst, detail, members=every)
        return Problem(worst, detail, members=every)


def judge(results: Sequence[Result], operation: Operation) -> Verdict:
    """Find out which parts of a batch failed, and why."""
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
        Problem: the worst of the failures, with the outcome of each failed key.
    """
    for result in results:
        if result.outcome.status != _OK:
            raise judge(results, operation).problem()


def some_of(results: Sequence[Result], operation: Operation) -> tuple[Sequence[Result], dict[str, Any]]:
    """The parts of a read that succeeded, if any, and the members of an answer that describe the failures.

    Raises:
        Problem: all parts failed.
    """
    found = [result for result in results if result.outcome.status == Status.OK]
    if len(found) == len(results):
        return results, {}
    verdict = judge(results, operation)
    if not found:
        raise verdict.problem()
    return found, {"failed": verdict.failed, "status": "partial", "reasons": verdict.reasons}
