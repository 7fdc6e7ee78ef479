"""Shards that refuse changes: full, read-only, or because a tuple is too large."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.calls import Api, json_body
from tests.contract.documented import Documented
from tests.contract.problems import assert_usable, problem_of
from tests.integration.conftest import NewApi
from tests.integration.store import Store

FreshKey = Callable[[], str]


def only_reason(problem: dict[str, Any], shard: str, code: str, keys: int) -> str:
    """The detail of the one shard that refused its part."""
    (reason,) = problem["reasons"]
    assert {**reason, "detail": ""} == {"shard": shard, "code": code, "keys": keys, "detail": ""}
    assert reason["detail"]
    return str(reason["detail"])


@pytest.fixture
def spread(store: Store, fresh_key: FreshKey) -> tuple[list[str], list[str]]:
    """Keys of the shard that will refuse them, and keys of other shards."""
    prefix = fresh_key()
    others = [key for shard in store.consoles if shard != "s2" for key in store.keys_on(shard, 3, prefix)]
    return store.keys_on("s2", 5, prefix), others


def test_a_full_shard_refuses_its_part_and_stores_nothing_of_it(
    api: Api, store: Store, spread: tuple[list[str], list[str]]
) -> None:
    full, others = spread
    small = dict.fromkeys(others, 1)
    with store.full("s2"):
        # One value would still fit, the other does not: the shard applies the whole chunk or nothing.
        large = {**dict.fromkeys(full, 1), full[-1]: "x" * 200_000}
        answer = api.post("write", json_body({"data": {**small, **large}}))
        problem = problem_of(answer, "database-refused", "5 of 11 keys failed")
        assert_usable(api, answer)
        assert problem["failed"] == dict.fromkeys(full, "not_applied")
        only_reason(problem, "s2", "out_of_memory", 5)
        assert not any(store.holds(key) for key in full)
        assert api.read(*others) == small
    api.write(large)
    assert api.read(*full) == large


def test_a_full_shard_still_answers_reads(api: Api, store: Store, fresh_key: FreshKey) -> None:
    keys = store.keys_on("s2", 2, fresh_key())
    api.write(dict.fromkeys(keys, "x" * 200_000))
    with store.full("s2"):
        assert api.read(*keys) == dict.fromkeys(keys, "x" * 200_000)


def test_a_tuple_that_is_too_large_is_refused_with_its_part(
    new_api: NewApi, token: str, documented: Documented, store: Store, spread: tuple[list[str], list[str]]
) -> None:
    refusing, others = spread
    process = new_api(TARANTKV_MAX_VALUE_BYTES="1000000")
    data: dict[str, Any] = {**dict.fromkeys([*refusing, *others], 1), refusing[-1]: "x" * 900_000}
    with Api(process.base_url, token, documented) as api, store.small_tuples("s2", 800_000):
        # A value larger than a chunk gets a chunk of its own: only keys in the same chunk fail with it.
        answer = api.post("write", json_body({"data": data}))
        problem = problem_of(answer, "database-refused", "keys failed")
        assert_usable(api, answer)
        assert refusing[-1] in problem["failed"]
        assert set(problem["failed"]) <= set(refusing)
        assert set(problem["failed"].values()) == {"not_applied"}
        only_reason(problem, "s2", "too_large", len(problem["failed"]))
        assert not any(store.holds(key) for key in problem["failed"])
        applied = {key: value for key, value in data.items() if key not in problem["failed"]}
        assert api.read(*applied) == applied


def test_a_read_only_shard_refuses_changes_and_answers_reads(
    api: Api, store: Store, spread: tuple[list[str], list[str]]
) -> None:
    held, others = spread
    api.write(dict.fromkeys([*held, *others], "before"))
    with store.read_only("s2"):
        answer = api.post("write", json_body({"data": dict.fromkeys([*held, *others], "after")}))
        problem = problem_of(answer, "shard-unavailable", "5 of 11 keys failed")
        assert int(answer.headers["retry-after"]) >= 1
        assert_usable(api, answer)
        assert problem["failed"] == dict.fromkeys(held, "not_applied")
        only_reason(problem, "s2", "read_only", 5)
        assert api.read(*held) == dict.fromkeys(held, "before")
        assert api.read(*others) == dict.fromkeys(others, "after")
        deletion = problem_of(api.post("delete", json_body({"keys": held})), "shard-unavailable", "5 of 5")
        assert deletion["failed"] == dict.fromkeys(held, "not_applied")
    assert api.delete(*held) == len(held)


def test_the_worst_of_several_failures_decides_the_status(api: Api, store: Store, fresh_key: FreshKey) -> None:
    prefix = fresh_key()
    full, held = store.keys_on("s2", 1, prefix), store.keys_on("s3", 1, prefix)
    with store.full("s2"), store.read_only("s3"):
        data = {full[0]: "x" * 200_000, held[0]: 1}
        problem = problem_of(api.post("write", json_body({"data": data})), "database-refused", "2 of 2 keys failed")
    assert sorted(reason["code"] for reason in problem["reasons"]) == ["out_of_memory", "read_only"]
