"""Makes one document from the results of a change's parts: a success, or a problem with the outcome of each key.

A failed condition is part of a successful outcome; it is final, because the chunk is on record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from api.batch.observer import BatchObserver
from api.batch.outcomes import Result, Verdict, check, judge
from api.http.problems import Kind, Problem
from protocol.changes import (
    NOT_A_NUMBER,
    OUT_OF_BOUNDS,
    OUT_OF_RANGE,
    Deleted,
    Updated,
    deleted,
    incremented,
    not_touched,
    updated,
)
from protocol.chunks import ChunkError
from protocol.operations import Operation, Status
from protocol.versions import version_text

SUCCESS: Mapping[str, Any] = {"status": "success"}

CODES = {OUT_OF_BOUNDS: "condition_failed", NOT_A_NUMBER: "not_a_number", OUT_OF_RANGE: "out_of_range"}
"""The outcomes of keys that a shard checked and did not change, by code. They are final."""

FINAL_WORDS = frozenset(CODES.values())

Members = dict[str, Any]


class Asked(NamedTuple):
    """What a change asks for: its operation, the number of its keys, and whether to answer their versions."""

    operation: Operation
    keys: int
    versions: bool = False


def success_or_problem(results: Sequence[Result], asked: Asked) -> Members:
    """The document of a change that changed all its keys.

    Raises:
        Problem: the worst of the failures; 409 if only conditions failed.
        ChunkError: a shard's answer does not fit its part.
    """
    operation = asked.operation
    if operation is Operation.WRITE:
        check(results, operation)
        return dict(SUCCESS)
    if operation is Operation.DELETE:
        check(results, operation)
        return {**SUCCESS, "deleted": sum(result.outcome.payload for result in results)}
    verdict = judge(results, operation)
    members = _EMPTY[operation](asked.versions)
    for result in results:
        if result.outcome.status == Status.OK:
            _READERS[operation](result, verdict, members)
    if verdict.kinds:
        raise verdict.problem({name: member for name, member in members.items() if member or name == "deleted"})
    members.pop("current", None)
    if operation is Operation.INCREMENT:
        return members
    if operation is Operation.TOUCH:
        missing = members["not_found"]
        return {**SUCCESS, "touched": verdict.total - len(missing), **({"not_found": missing} if missing else {})}
    return {**SUCCESS, **members}


def content_of(results: Sequence[Result], asked: Asked, route: str, metrics: BatchObserver) -> Members:
    """The document of a change that changed all its keys; those whose conditions failed are counted.

    Raises:
        Problem: the worst of the failures; 409 if only conditions failed.
        ChunkError: a shard's answer does not fit its part.
    """
    try:
        return success_or_problem(results, asked)
    except Problem as problem:
        for reason in problem.members["reasons"]:
            if reason["code"] in FINAL_WORDS:
                metrics.conditions_failed(route, reason["code"], reason["keys"])
        raise


def _empty_update(versions: bool) -> Members:  # noqa: FBT001 - all of this table have one argument
    return {"current": {}, "versions": {}} if versions else {"current": {}}


_EMPTY: dict[Operation, Callable[[bool], Members]] = {
    Operation.UPDATE: _empty_update,
    Operation.DELETE_IF: lambda _: {"current": {}, "deleted": 0},
    Operation.INCREMENT: lambda _: {"data": {}},
    Operation.TOUCH: lambda _: {"not_found": []},
}


def _refuse(verdict: Verdict, result: Result, refused: Iterable[tuple[int, int]]) -> None:
    """Note the keys that the shard did not change, by position and code."""
    by_code: dict[int, list[str]] = {}
    for position, code in refused:
        by_code.setdefault(code, []).append(_key(result, position))
    for code, keys in sorted(by_code.items()):
        word = CODES.get(code)
        if word is None:
            raise ChunkError(f"{code} is no code of a key that was refused")
        verdict.add(Kind.CONDITION_FAILED, word, keys, shard=result.part.shard, code=word)


def _key(result: Result, position: int) -> str:
    if not 0 <= position < len(result.part.keys):
        raise ChunkError(f"an answer names key {position} of {len(result.part.keys)}")
    return result.part.keys[position]


def _note_current(result: Result, verdict: Verdict, members: Members, answer: Updated | Deleted) -> None:
    _refuse(verdict, result, ((position, OUT_OF_BOUNDS) for position, _ in answer.failed))
    for position, version in answer.failed:
        members["current"][_key(result, position)] = {} if version is None else {"version": version_text(version)}


def _read_updated(result: Result, verdict: Verdict, members: Members) -> None:
    answer = updated(result.outcome.payload)
    _note_current(result, verdict, members, answer)
    if "versions" in members:
        version = version_text(answer.version)
        members["versions"].update((key, version) for key in result.part.keys if key not in verdict.failed)


def _read_deleted(result: Result, verdict: Verdict, members: Members) -> None:
    answer = deleted(result.outcome.payload)
    _note_current(result, verdict, members, answer)
    members["deleted"] += answer.deleted


def _read_incremented(result: Result, verdict: Verdict, members: Members) -> None:
    answer = incremented(result.outcome.payload)
    if len(answer.values) != len(result.part.keys):
        raise ChunkError(f"{len(answer.values)} results answer {len(result.part.keys)} keys")
    _refuse(verdict, result, answer.failed)
    for key, value in zip(result.part.keys, answer.values, strict=True):
        if (value is None) != (key in verdict.failed):
            raise ChunkError("an answer has both a result and a refusal for a key, or neither")
        if value is not None:
            members["data"][key] = value


def _read_touched(result: Result, _: Verdict, members: Members) -> None:
    members["not_found"] += [_key(result, position) for position in not_touched(result.outcome.payload)]


_READERS: dict[Operation, Callable[[Result, Verdict, Members], None]] = {
    Operation.UPDATE: _read_updated,
    Operation.DELETE_IF: _read_deleted,
    Operation.INCREMENT: _read_incremented,
    Operation.TOUCH: _read_touched,
}
