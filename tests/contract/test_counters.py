"""Counters: `/api/increment`."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.contract.calls import JSON, MSGPACK, Api
from tests.contract.limits import MAX_BATCH_KEYS
from tests.contract.problems import assert_usable, problem_of

FreshKey = Callable[[], str]

LOWEST, HIGHEST = -(2**63), 2**63 - 1

both_formats = pytest.mark.parametrize("as_", [JSON, MSGPACK])


def add(api: Api, as_: str = JSON, /, options: dict[str, Any] | None = None, **document: Any) -> dict[str, int]:
    """Increment, which must succeed."""
    body = {**document, "options": options} if options is not None else document
    answer = api.done("increment", body, as_)
    assert list(answer) == ["data"]
    found: dict[str, int] = answer["data"]
    return found


def refused(api: Api, document: dict[str, Any], as_: str = JSON) -> dict[str, Any]:
    answer = api.ask("increment", document, as_)
    problem = problem_of(answer, "condition-failed")
    assert_usable(api, answer)
    return problem


@both_formats
def test_an_absent_key_counts_as_its_initial_number(api: Api, fresh_key: FreshKey, as_: str) -> None:
    hits, stock = fresh_key(), fresh_key()
    bounds = {stock: {"min": 0, "max": 99, "initial": 10}}
    assert add(api, as_, data={hits: 1, stock: -3}, options=bounds) == {hits: 1, stock: 7}
    assert add(api, as_, data={hits: 16, stock: -7}, options=bounds) == {hits: 17, stock: 0}
    assert api.read(hits, stock, as_=as_) == {hits: 17, stock: 0}


@both_formats
def test_an_increment_beyond_its_bounds_is_refused_and_the_others_are_applied(
    api: Api, fresh_key: FreshKey, as_: str
) -> None:
    low, high, free = fresh_key(), fresh_key(), fresh_key()
    api.write({low: 1, high: 99, free: 1})
    body = {"data": {low: -2, high: 1, free: 1}, "options": {low: {"min": 0}, high: {"max": 99}}}
    problem = refused(api, body, as_)
    assert problem["failed"] == dict.fromkeys((low, high), "condition_failed")
    assert problem["data"] == {free: 2}
    assert api.read(low, high, free) == {low: 1, high: 99, free: 2}


@both_formats
def test_counters_have_the_range_of_64_bits(api: Api, fresh_key: FreshKey, as_: str) -> None:
    top, bottom = fresh_key(), fresh_key()
    assert add(api, as_, data={top: HIGHEST, bottom: LOWEST}) == {top: HIGHEST, bottom: LOWEST}
    assert add(api, as_, data={top: 0, bottom: 0}) == {top: HIGHEST, bottom: LOWEST}
    problem = refused(api, {"data": {top: 1, bottom: -1}}, as_)
    assert problem["failed"] == dict.fromkeys((top, bottom), "out_of_range")
    assert add(api, as_, data={top: LOWEST, bottom: HIGHEST}) == {top: -1, bottom: -1}
    assert api.read(top, bottom, as_=as_) == {top: -1, bottom: -1}


@both_formats
def test_an_increment_of_a_value_that_is_not_a_counter_is_refused(api: Api, fresh_key: FreshKey, as_: str) -> None:
    values: list[Any] = ["1", 1.0, None, True, [1], {"a": 1}]
    keys = [fresh_key() for _ in values]
    great = fresh_key()
    data = {**dict(zip(keys, values, strict=True)), great: 2**64 - 1}
    api.write(data)
    problem = refused(api, {"data": dict.fromkeys(data, 1)}, as_)
    assert problem["failed"] == {**dict.fromkeys(keys, "not_a_number"), great: "out_of_range"}
    assert "data" not in problem
    assert api.read(*data) == data


@pytest.mark.parametrize("number", [0, 127, 128, -1, -32, -33, 255, 65536, 2**32, -(2**31) - 1, 2**62])
def test_a_number_that_was_written_is_a_counter(api: Api, fresh_key: FreshKey, number: int) -> None:
    key, other = fresh_key(), fresh_key()
    api.write({key: number})
    nine_bytes = msgspec.Raw((b"\xd3" if number < 0 else b"\xcf") + (number % 2**64).to_bytes(8, "big"))
    api.write({other: nine_bytes}, as_=MSGPACK)
    assert add(api, data={key: 1, other: 1}) == {key: number + 1, other: number + 1}


def test_a_ttl_applies_when_the_key_is_created_or_always(api: Api, fresh_key: FreshKey) -> None:
    window, sliding = fresh_key(), fresh_key()
    keys = [window, sliding]

    def expiries() -> dict[str, float | None]:
        meta = api.done("read", {"keys": keys, "with": ["expires_at"]})["meta"]
        return {key: meta[key].get("expires_at") for key in keys}

    options = {sliding: {"ttl_on": "always"}}
    add(api, data=dict.fromkeys(keys, 1), ttl=60, options=options)
    first = expiries()
    add(api, data=dict.fromkeys(keys, 1), ttl=600, options=options)
    second = expiries()
    assert second[window] == first[window]
    before, after = first[sliding], second[sliding]
    assert before is not None
    assert after is not None
    assert after > before + 500
    add(api, data={sliding: 1})
    add(api, data={sliding: 1}, ttl_on="always")
    add(api, data={sliding: 1}, ttl=None)
    assert expiries() == second
    add(api, data=dict.fromkeys(keys, 1), ttl=60, ttl_on="always", options={sliding: {"ttl": None}})
    assert expiries()[sliding] is None
    assert expiries()[window] is not None


@both_formats
def test_a_batch_of_the_most_counters_is_incremented(api: Api, fresh_key: FreshKey, as_: str) -> None:
    deltas = {fresh_key(): number for number in range(MAX_BATCH_KEYS)}
    options = {key: {"initial": 5, "max": 2**40, "ttl": 600} for key in deltas}
    assert add(api, as_, data=deltas, options=options) == {key: delta + 5 for key, delta in deltas.items()}
