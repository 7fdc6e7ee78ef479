"""Values come back as they were written, in both formats."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.contract.calls import JSON, MSGPACK, Api, json_body, msgpack_body
from tests.contract.problems import pointers, problem_of
from tests.contract.samples import DEEPEST, JSON_VALUES, MSGPACK_VALUES, NOT_JSON, nested, same

FreshKey = Callable[[], str]
FORMATS = [JSON, MSGPACK]


@pytest.mark.parametrize("out", FORMATS)
@pytest.mark.parametrize("into", FORMATS)
@pytest.mark.parametrize("name", JSON_VALUES)
def test_a_value_comes_back_unchanged(api: Api, fresh_key: FreshKey, name: str, into: str, out: str) -> None:
    key, value = fresh_key(), JSON_VALUES[name]
    api.write({key: value}, as_=into)
    assert same(api.read(key, as_=out), {key: value})


@pytest.mark.parametrize("out", FORMATS)
@pytest.mark.parametrize("into", FORMATS)
def test_all_values_of_a_batch_come_back_unchanged(api: Api, fresh_key: FreshKey, into: str, out: str) -> None:
    data = {fresh_key(): value for value in JSON_VALUES.values()}
    api.write(data, as_=into)
    found = api.read(*data, as_=out)
    assert found.keys() == data.keys()
    assert all(same(found[key], value) for key, value in data.items())


@pytest.mark.parametrize("name", MSGPACK_VALUES)
def test_messagepack_comes_back_byte_for_byte(api: Api, fresh_key: FreshKey, name: str) -> None:
    key, value = fresh_key(), MSGPACK_VALUES[name]
    api.write({key: msgspec.Raw(value)}, as_=MSGPACK)
    assert api.read_raw(key) == {key: value}


@pytest.mark.parametrize("name", [name for name in MSGPACK_VALUES if name not in NOT_JSON])
def test_messagepack_that_json_can_express_is_read_as_json(api: Api, fresh_key: FreshKey, name: str) -> None:
    key, value = fresh_key(), MSGPACK_VALUES[name]
    api.write({key: msgspec.Raw(value)}, as_=MSGPACK)
    assert same(api.read(key)[key], msgspec.msgpack.decode(value))


@pytest.mark.parametrize("name", NOT_JSON)
def test_values_that_json_cannot_express_are_not_acceptable_as_json(api: Api, fresh_key: FreshKey, name: str) -> None:
    plain, key = fresh_key(), fresh_key()
    api.write({plain: 1, key: msgspec.Raw(MSGPACK_VALUES[name])}, as_=MSGPACK)
    problem = problem_of(api.post("read", json_body({"keys": [plain, key]})), "not-acceptable", repr(key))
    assert pointers(problem) == [f"#/data/{key}"]


def test_a_part_of_a_value_that_json_cannot_express_is_found(api: Api, fresh_key: FreshKey) -> None:
    key = fresh_key()
    api.write({key: {"a": [1, {"b": b"bytes"}]}}, as_=MSGPACK)
    problem_of(api.post("read", json_body({"keys": [key]})), "not-acceptable", repr(key))
    assert api.read(key, as_=MSGPACK) == {key: {"a": [1, {"b": b"bytes"}]}}


def test_a_write_replaces_the_value(api: Api, fresh_key: FreshKey) -> None:
    key = fresh_key()
    values: list[Any] = [[1, 2, 3], "text", None, {}]
    for value in values:
        api.write({key: value})
        assert same(api.read(key), {key: value})


@pytest.mark.parametrize("kind", ["array", "object", "mixed"])
@pytest.mark.parametrize("as_", FORMATS)
def test_a_value_that_is_one_level_too_deep_is_refused_by_name(
    api: Api, fresh_key: FreshKey, kind: str, as_: str
) -> None:
    good, key = fresh_key(), fresh_key()
    data = {good: nested(DEEPEST, kind=kind), key: nested(DEEPEST + 1, kind=kind)}
    body = json_body({"data": data}) if as_ == JSON else msgpack_body({"data": data})
    problem = problem_of(api.post("write", body, {"content-type": as_}), "invalid-value", repr(key))
    assert pointers(problem) == [f"#/data/{key}"]
    assert f"{DEEPEST} levels" in problem["detail"]


def test_brackets_inside_texts_do_not_count_as_levels(api: Api, fresh_key: FreshKey) -> None:
    data = {fresh_key(): "[{" * 1000, fresh_key(): [[]] * 1000}
    api.write(data)
    assert api.read(*data) == data


def test_nothing_of_a_batch_with_a_refused_value_is_stored(api: Api, fresh_key: FreshKey) -> None:
    good, bad = fresh_key(), fresh_key()
    problem_of(api.post("write", json_body({"data": {good: 1, bad: 2**64}})), "invalid-value", repr(bad))
    assert api.read_document(good, bad)["data"] == {}
