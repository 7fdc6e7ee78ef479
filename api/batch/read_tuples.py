"""Reads that ask for more than values: turns stored tuples into the results of a plain read and the further members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.batch.options import EXPIRES_AT, VERSION
from api.batch.outcomes import Result
from api.batch.steps import Steps
from protocol.changes import Stored, stored
from protocol.chunks import ChunkError, answer_of
from protocol.versions import version_text

Meta = dict[str, dict[str, Any]]


def as_plain_read(results: Sequence[Result], wanted: frozenset[str]) -> Steps[tuple[list[Result], Meta]]:
    """The results of a plain read, and the `wanted` members of each key that was found.

    Raises:
        ChunkError: a shard's answer does not fit its part.
    """
    plain: list[Result] = []
    meta: Meta = {}
    for result in results:
        keys = result.part.keys
        tuples = stored(result.outcome.payload)
        if len(tuples) != len(keys):
            raise ChunkError(f"{len(tuples)} tuples answer {len(keys)} keys")
        yield
        meta.update((key, _meta(found, wanted)) for key, found in zip(keys, tuples, strict=True) if found is not None)
        answer = answer_of([None if found is None else found.value for found in tuples])
        plain.append(Result(result.part, result.outcome._replace(payload=answer)))
        yield
    return plain, meta


def _meta(found: Stored, wanted: frozenset[str]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if VERSION in wanted:
        members[VERSION] = version_text(found.version)
    if EXPIRES_AT in wanted and found.expires:
        members[EXPIRES_AT] = found.expires / 1000
    return members
