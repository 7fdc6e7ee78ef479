"""Reads that ask for more than values: `with` and `partial`."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.calls import JSON, MSGPACK, Api, json_body
from tests.contract.limits import MAX_BATCH_KEYS
from tests.contract.samples import JSON_VALUES, MSGPACK_VALUES, same

FreshKey = Callable[[], str]

both_formats = pytest.mark.parametrize("as_", [JSON, MSGPACK])


@both_formats
def test_an_answer_has_only_the_requested_members_of_existing_keys(api: Api, fresh_key: FreshKey, as_: str) -> None:
    lasting, ending, missing = fresh_key(), fresh_key(), fresh_key()
    api.done("write", {"data": {lasting: 1, ending: None}, "options": {ending: {"expires_at": 4_000_000_000.125}}})
    keys = [lasting, ending, missing]
    both = api.done("read", {"keys": keys, "with": ["version", "expires_at"]}, as_)
    assert list(both) == ["data", "not_found", "meta"]
    assert (both["data"], both["not_found"]) == ({lasting: 1, ending: None}, [missing])
    assert both["meta"].keys() == {lasting, ending}
    assert list(both["meta"][lasting]) == ["version"]
    assert both["meta"][ending]["expires_at"] == 4_000_000_000.125
    of_expiry = api.done("read", {"keys": keys, "with": ["expires_at"]}, as_)
    assert of_expiry["meta"] == {lasting: {}, ending: {"expires_at": 4_000_000_000.125}}
    assert api.done("read", {"keys": keys, "with": []}, as_).keys() == {"data", "not_found"}


def test_values_of_every_kind_come_back_unchanged(api: Api, fresh_key: FreshKey) -> None:
    data = {fresh_key(): value for value in JSON_VALUES.values()}
    api.done("write", {"data": data, "ttl": 600})
    for as_ in (JSON, MSGPACK):
        answer = api.done("read", {"keys": list(data), "with": ["version"]}, as_)
        assert answer["meta"].keys() == data.keys()
        assert all(same(answer["data"][key], value) for key, value in data.items())


def test_messagepack_values_come_back_as_the_same_bytes(api: Api, fresh_key: FreshKey) -> None:
    data = {fresh_key(): value for value in MSGPACK_VALUES.values()}
    body = b"\x82\xa4data\xde" + len(data).to_bytes(2, "big")
    for key, value in data.items():
        body += b"\xd9" + bytes((len(key),)) + key.encode() + value
    assert api.post("write", body + b"\xa3ttl\xcd\x02\x58", {"content-type": MSGPACK}).status_code == 200
    for more in ({}, {"with": ["version", "expires_at"]}):
        answer = api.post("read", json_body({"keys": list(data), **more}), {"accept": MSGPACK})
        assert answer.status_code == 200
        assert all(value in answer.content for value in data.values())
    assert api.read_raw(*data) == data


@both_formats
def test_a_read_of_the_most_keys_returns_the_version_of_each(api: Api, fresh_key: FreshKey, as_: str) -> None:
    data: dict[str, Any] = {fresh_key(): {"number": number} for number in range(MAX_BATCH_KEYS)}
    made = api.done("write", {"data": data, "return": ["version"]}, as_)["versions"]
    answer = api.done("read", {"keys": list(data), "with": ["version"]}, as_)
    assert answer["data"] == data
    assert answer["meta"] == {key: {"version": version} for key, version in made.items()}


@both_formats
def test_a_partial_read_that_finds_all_keys_has_the_usual_answer(api: Api, fresh_key: FreshKey, as_: str) -> None:
    key, missing = fresh_key(), fresh_key()
    api.write({key: 1})
    assert api.done("read", {"keys": [key, missing], "partial": True}, as_) == {
        "data": {key: 1},
        "not_found": [missing],
    }
    plain = api.post("read", json_body({"keys": [key]}))
    members: list[dict[str, Any]] = [{"partial": True}, {"partial": False}, {"with": []}]
    for more in members:
        assert api.post("read", json_body({"keys": [key], **more})).content == plain.content
