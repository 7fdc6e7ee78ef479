"""The problems of scans that shards did not answer. A scan has no effect, so nothing about it is unknown."""

from __future__ import annotations

from collections.abc import Sequence

from api.http.problems import Kind, Problem, retry_later
from api.scan.shards import Failure
from protocol.operations import Status

_KINDS = {
    Status.EXPIRED: (Kind.DEADLINE_PASSED, "deadline_passed"),
    Status.NO_MEMORY: (Kind.OVERLOADED, "answers_too_large"),
    Status.TOO_MANY: (Kind.OVERLOADED, "too_many"),
    Status.UNREACHABLE: (Kind.SHARD_UNAVAILABLE, "unreachable"),
    Status.UNKNOWN: (Kind.SHARD_UNAVAILABLE, "no_answer"),
}
_OTHER = (Kind.DATABASE_REFUSED, "refused")
_SEVERITY = [Kind.SHARD_UNAVAILABLE, Kind.DEADLINE_PASSED, Kind.OVERLOADED, Kind.DATABASE_REFUSED]
"""If there are several kinds, the last one here is the answer's."""


def failed(failures: Sequence[Failure]) -> Problem:
    """The problem of shards that did not answer a scan."""
    known = [_KINDS.get(Status(each.status), _OTHER) for each in failures]
    worst = max((kind for kind, _ in known), key=_SEVERITY.index)
    reasons = [
        {"shard": each.shard, "code": code, "keys": 0, "detail": each.text}
        for each, (_, code) in zip(failures, known, strict=True)
    ]
    detail = f"{len(failures)} shards have not answered the scan; 'reasons' tells why"
    if worst is Kind.DATABASE_REFUSED:
        return Problem(worst, detail, members={"reasons": reasons})
    return retry_later(worst, detail, members={"reasons": reasons})


def moved(detail: str) -> Problem:
    """The problem of buckets that move again and again."""
    reasons = [{"shard": "", "code": "bucket_moved", "keys": 0, "detail": detail}]
    return retry_later(Kind.SHARD_UNAVAILABLE, f"buckets move between shards: {detail}", members={"reasons": reasons})
