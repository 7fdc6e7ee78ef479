"""The result of an import: the answer if every line was stored or rejected, otherwise the problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from api.batch.outcomes import NOT_APPLIED, Result, Verdict, judge
from api.scan.import_lines import Import
from protocol.changes import updated
from protocol.operations import Operation, Status

MAX_REJECTED = 100
"""Rejected lines that the answer lists; further ones are only counted."""


def result_of(
    found: Import, written: Sequence[Result], updates: Sequence[Result]
) -> tuple[dict[str, Any], Verdict | None]:
    """The members of the answer, and the failures, if there were any.

    Raises:
        ChunkError: a shard's answer does not fit its part.
    """
    verdict = Verdict(len(found.items))
    for results, operation in ((written, Operation.WRITE), (updates, Operation.UPDATE)):
        some = judge(results, operation)
        verdict.failed.update(some.failed)
        verdict.reasons += some.reasons
        verdict.kinds += some.kinds
    there = sum(len(updated(result.outcome.payload).failed) for result in updates if result.outcome.status == Status.OK)
    rejected = [found.rejected[line] for line in sorted(found.rejected)]
    members = {
        "lines": found.lines,
        "applied": len(found.items) - len(verdict.failed) - there,
        "already_there": there,
        "rejected": rejected[:MAX_REJECTED],
        "rejected_more": len(rejected[MAX_REJECTED:]),
    }
    if not verdict.kinds:
        return members, None
    again = sorted(found.number[key] for key, word in verdict.failed.items() if word == NOT_APPLIED)
    return {**members, "retry_lines": list(ranges(again))}, verdict


def ranges(lines: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Rising numbers as ranges, both ends included."""
    first = last = None
    for line in lines:
        if first is None or last is None:
            first = last = line
        elif line == last + 1:
            last = line
        else:
            yield first, last
            first = last = line
    if first is not None and last is not None:
        yield first, last
