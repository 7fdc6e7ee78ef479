"""Conditional changes, increments and touches under an `Idempotency-Key`: each retry gets the first outcome."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import JSON, MSGPACK, Api, decoded
from tests.contract.problems import problem_of
from tests.contract.waiting import until
from tests.integration.claims import is_finished, refusing_outcomes
from tests.integration.store import Store

FreshKey = Callable[[], str]
Document = dict[str, Any]

CHANGES: dict[str, tuple[str, Callable[[list[str]], Document], int]] = {
    "a write that makes its keys": (
        "write",
        lambda keys: {"data": dict.fromkeys(keys[:2], 1), "if": "absent", "return": ["version"]},
        200,
    ),
    "a write of which a part is refused": (
        "write",
        lambda keys: {"data": dict.fromkeys(keys, 1), "if": "absent", "return": ["version"], "ttl": 600},
        409,
    ),
    "a delete": ("delete", lambda keys: {"keys": keys[2:], "if": "present"}, 200),
    "a delete of which a part is refused": ("delete", lambda keys: {"keys": keys, "if": "present"}, 409),
    "an increment": ("increment", lambda keys: {"data": dict.fromkeys(keys, 3), "ttl": 600}, 200),
    "an increment of which a part is refused": (
        "increment",
        lambda keys: {"data": dict.fromkeys(keys, 3), "options": {keys[0]: {"max": 2}}},
        409,
    ),
    "a touch": ("touch", lambda keys: {"keys": keys, "ttl": 600}, 200),
}
"""A call, its body for four keys of which the last two hold 5, and its status."""

every_change = pytest.mark.parametrize("name", CHANGES)


def content_of(answer: Any) -> Document:
    """An answer without its request id."""
    if answer.status_code == 200:
        content: Document = decoded(answer)
        return content
    problem: Document = json.loads(answer.content)
    assert problem.pop("request_id") == answer.headers["x-request-id"]
    return problem


@every_change
@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_repeated_change_gets_the_first_outcome_and_is_applied_once(
    api: Api, second: Api, store: Store, fresh_key: FreshKey, name: str, as_: str
) -> None:
    call, document, status = CHANGES[name]
    key, keys = fresh_key(), [*(store.keys_on("s1", 4, fresh_key())[:1]), *(fresh_key() for _ in range(3))]
    api.write(dict.fromkeys(keys[2:], 5))
    body, header = document(keys), {"Idempotency-Key": key}
    answers = [api.ask(call, body, as_, **header)]
    applied = store.chunks_applied()
    # Because of the change between them, a new request would get another outcome.
    api.write(dict.fromkeys(keys, "between"))
    between = store.chunks_applied() - applied
    answers += [client.ask(call, body, as_, **header) for client in (api, second)]
    assert [answer.status_code for answer in answers] == [status] * 3
    first, *others = map(content_of, answers)
    assert others == [first, first]
    assert store.chunks_applied() == applied + between
    assert api.read(*keys) == dict.fromkeys(keys, "between")


@every_change
def test_a_retry_without_a_recorded_outcome_is_answered_from_its_applied_records(
    cluster: Cluster, api: Api, second: Api, store: Store, fresh_key: FreshKey, name: str
) -> None:
    call, document, status = CHANGES[name]
    (key,) = store.keys_on("s1", 1, fresh_key())
    keys = [fresh_key() for _ in range(4)]
    api.write(dict.fromkeys(keys[2:], 5))
    body, header = document(keys), {"Idempotency-Key": key}
    with refusing_outcomes(store, "s1"):
        first = api.ask(call, body, **header)
        applied = store.chunks_applied()
        again = [client.ask(call, body, **header) for client in (api, second)]
        assert not is_finished(store, "s1", cluster.admin_user, key)
    assert [answer.status_code for answer in (first, *again)] == [status] * 3
    assert [content_of(answer) for answer in again] == [content_of(first)] * 2
    until(lambda: is_finished(store, "s1", cluster.admin_user, key), 10, "the outcome is not recorded")
    assert content_of(api.ask(call, body, **header)) == content_of(first)
    assert store.chunks_applied() == applied


def test_a_retry_gets_the_same_outcome_even_if_that_is_too_large_for_its_claim(
    cluster: Cluster, api: Api, store: Store, fresh_key: FreshKey
) -> None:
    (key,) = store.keys_on("s1", 1, fresh_key())
    data = dict.fromkeys((fresh_key() + "x" * 200 for _ in range(3000)), 1)
    body, header = {"data": data, "if": "absent", "return": ["version"]}, {"Idempotency-Key": key}
    first = api.ask("write", body, **header)
    applied = store.chunks_applied()
    again = api.ask("write", body, **header)
    assert (first.status_code, again.status_code) == (200, 200)
    assert content_of(again) == content_of(first)
    assert store.chunks_applied() == applied
    assert not is_finished(store, "s1", cluster.admin_user, key)
    assert api.delete(*data) == len(data)


def test_a_failed_shard_decides_the_status_and_a_retry_gets_all_outcomes(
    api: Api, store: Store, fresh_key: FreshKey
) -> None:
    prefix = fresh_key()
    claimed, there, new = store.keys_on("s1", 3, prefix)
    (down,) = store.keys_on("s2", 1, prefix)
    api.write({there: 1})
    body = {"data": dict.fromkeys((there, new, down), 2), "if": "absent", "return": ["version"]}
    header = {"Idempotency-Key": claimed}
    with store.read_only("s2"):
        problem = problem_of(api.ask("write", body, **header), "shard-unavailable", "2 of 3 keys failed")
        assert problem["failed"] == {there: "condition_failed", down: "not_applied"}
        assert {(reason["shard"], reason["code"]) for reason in problem["reasons"]} == {
            ("s1", "condition_failed"),
            ("s2", "read_only"),
        }
        assert problem["current"].keys() == {there}
        assert problem["versions"].keys() == {new}
    final = problem_of(api.ask("write", body, **header), "condition-failed", "1 of 3 keys failed")
    assert final["failed"] == {there: "condition_failed"}
    assert final["current"] == problem["current"]
    assert final["versions"].keys() == {new, down}
    assert final["versions"][new] == problem["versions"][new]


def test_a_failed_shard_does_not_hide_results_of_an_increment_on_others(
    api: Api, store: Store, fresh_key: FreshKey
) -> None:
    prefix = fresh_key()
    (here,), (down,) = store.keys_on("s1", 1, prefix), store.keys_on("s2", 1, prefix)
    with store.read_only("s2"):
        problem = problem_of(api.ask("increment", {"data": {here: 4, down: 4}}), "shard-unavailable")
        assert (problem["failed"], problem["data"]) == ({down: "not_applied"}, {here: 4})
        touched = problem_of(api.ask("touch", {"keys": [here, down], "ttl": 60}), "shard-unavailable")
        assert touched["failed"] == {down: "not_applied"}
