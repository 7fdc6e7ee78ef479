"""How the shards' answers to a change become the document of a success or a problem."""

from typing import Any

import msgspec
import pytest

from api.batch.change_results import Asked, success_or_problem
from api.batch.outcomes import Result, some_of
from api.batch.split import Part
from api.http.problems import Kind, Problem
from protocol.chunks import ChunkError
from protocol.frames import Outcome
from protocol.operations import Operation, Status

pack = msgspec.msgpack.encode


def ok(shard: str, keys: str, payload: Any) -> Result:
    """A part whose keys are letters, with the payload of its shard."""
    return Result(Part(shard, list(keys), b""), Outcome(b"", Status.OK, pack(payload)))


def down(shard: str, keys: str, status: Status = Status.UNREACHABLE) -> Result:
    return Result(Part(shard, list(keys), b""), Outcome(b"", status, "why"))


def content(operation: Operation, *results: Result, versions: bool = False) -> dict[str, Any]:
    return success_or_problem(results, Asked(operation, sum(len(result.part.keys) for result in results), versions))


def problem(operation: Operation, *results: Result, versions: bool = False) -> Problem:
    with pytest.raises(Problem) as caught:
        content(operation, *results, versions=versions)
    return caught.value


def test_an_answer_has_the_versions_if_the_request_asked_for_them() -> None:
    results = ok("s1", "ab", [0x6B2, []]), ok("s2", "c", [0x6B3, []])
    assert content(Operation.UPDATE, *results) == {"status": "success"}
    assert content(Operation.UPDATE, *results, versions=True) == {
        "status": "success",
        "versions": {"a": "6b2", "b": "6b2", "c": "6b3"},
    }


def test_keys_whose_conditions_failed_are_named_with_their_versions() -> None:
    found = problem(Operation.UPDATE, ok("s1", "ab", [7, [[1, None]]]), ok("s2", "cd", [8, [[0, 5], [1, 6]]]))
    assert found.kind is Kind.CONDITION_FAILED
    assert found.members == {
        "failed": dict.fromkeys("bcd", "condition_failed"),
        "current": {"b": {}, "c": {"version": "5"}, "d": {"version": "6"}},
        "reasons": [
            {"shard": "s1", "code": "condition_failed", "keys": 1},
            {"shard": "s2", "code": "condition_failed", "keys": 2},
        ],
    }


def test_a_delete_counts_removed_keys_even_if_some_conditions_failed() -> None:
    assert content(Operation.DELETE_IF, ok("s1", "ab", [1, []]), ok("s2", "c", [1, []])) == {
        "status": "success",
        "deleted": 2,
    }
    assert problem(Operation.DELETE_IF, ok("s1", "ab", [0, [[0, 3]]])).members["deleted"] == 0


def test_each_reason_to_refuse_an_increment_has_its_own_word() -> None:
    results = ok("s1", "abcd", [[5, None, None, None], [[1, 1], [2, 2], [3, 3]]]), ok("s2", "e", [[-1], []])
    found = problem(Operation.INCREMENT, *results)
    assert found.members["failed"] == {"b": "condition_failed", "c": "not_a_number", "d": "out_of_range"}
    assert found.members["data"] == {"a": 5, "e": -1}
    assert content(Operation.INCREMENT, results[1]) == {"data": {"e": -1}}


def test_a_touch_names_the_keys_that_are_absent() -> None:
    assert content(Operation.TOUCH, ok("s1", "abc", [0, 2]), ok("s2", "d", [])) == {
        "status": "success",
        "touched": 2,
        "not_found": ["a", "c"],
    }
    assert content(Operation.TOUCH, ok("s2", "d", [])) == {"status": "success", "touched": 1}


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (Status.UNREACHABLE, Kind.SHARD_UNAVAILABLE, "not_applied"),
        (Status.NO_MEMORY, Kind.DATABASE_REFUSED, "not_applied"),
        (Status.UNKNOWN, Kind.OUTCOME_UNKNOWN, "unknown"),
    ],
)
def test_a_failure_of_the_system_decides_the_status_rather_than_a_failed_condition(
    status: Status, kind: Kind, word: str
) -> None:
    found = problem(Operation.UPDATE, ok("s1", "ab", [7, [[0, 5]]]), down("s2", "c", status), versions=True)
    assert found.kind is kind
    assert found.members["failed"] == {"a": "condition_failed", "c": word}
    assert found.members["versions"] == {"b": "7"}
    assert found.members["current"] == {"a": {"version": "5"}}
    assert ("Retry-After" in found.headers) == (kind.status == 503)


BROKEN: dict[str, tuple[Operation, Any]] = {
    "a position that no key has": (Operation.UPDATE, [7, [[2, None]]]),
    "a position below 0": (Operation.DELETE_IF, [7, [[-1, None]]]),
    "a code that there is not": (Operation.INCREMENT, [[None, 1], [[0, 4]]]),
    "too few results": (Operation.INCREMENT, [[1], []]),
    "a result for a refused key": (Operation.INCREMENT, [[1, 2], [[0, 1]]]),
    "neither result nor refusal": (Operation.INCREMENT, [[1, None], []]),
    "an absent key that there is not": (Operation.TOUCH, [2]),
    "no answer at all": (Operation.UPDATE, {"a": 1}),
    "no version": (Operation.UPDATE, [None, []]),
}


@pytest.mark.parametrize(("operation", "payload"), BROKEN.values(), ids=BROKEN)
def test_an_answer_of_another_form_is_not_a_success(operation: Operation, payload: Any) -> None:
    with pytest.raises(ChunkError):
        content(operation, ok("s1", "ab", payload), versions=True)


def test_a_partial_read_succeeds_if_some_of_its_keys_were_read() -> None:
    read, failed = ok("s1", "a", None), down("s2", "bc")
    found, members = some_of([read, failed], Operation.READ)
    assert found == [read]
    assert members["status"] == "partial"
    assert members["failed"] == dict.fromkeys("bc", "not_read")
    assert some_of([read], Operation.READ) == ([read], {})
    with pytest.raises(Problem) as caught:
        some_of([failed], Operation.READ)
    assert caught.value.kind is Kind.SHARD_UNAVAILABLE
