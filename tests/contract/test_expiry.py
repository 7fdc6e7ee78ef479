"""Keys that expire: `ttl`, `expires_at`, `keep`, and `/api/touch`."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.calls import JSON, MSGPACK, Api
from tests.contract.problems import pointers, problem_of

FreshKey = Callable[[], str]

LONG_S = 3600
SHORT_S = 0.15
GONE_WITHIN_S = 20.0
SKEW_S = 5.0

both_formats = pytest.mark.parametrize("as_", [JSON, MSGPACK])


def expires_at(api: Api, key: str, as_: str = JSON) -> float | None:
    """When an existing key expires, as Unix time in seconds; None: never."""
    document = api.done("read", {"keys": [key], "with": ["expires_at"]}, as_)
    assert key in document["data"], document
    moment: float | None = document["meta"][key].get("expires_at")
    return moment


def assert_expires_in(api: Api, key: str, seconds: float) -> None:
    moment = expires_at(api, key)
    assert moment is not None
    assert abs(moment - time.time() - seconds) < SKEW_S


def wait_until_gone(api: Api, key: str) -> None:
    end = time.monotonic() + GONE_WITHIN_S
    while api.read_document(key)["data"]:
        assert time.monotonic() < end, "the key did not expire"


@both_formats
def test_a_ttl_may_be_given_for_all_and_for_single_keys(api: Api, fresh_key: FreshKey, as_: str) -> None:
    every, short, fixed, never = (fresh_key() for _ in range(4))
    moment = round(time.time()) + 7200.5
    options: dict[str, Any] = {short: {"ttl": 60}, fixed: {"expires_at": moment}, never: {"ttl": None}}
    data = dict.fromkeys((every, short, fixed, never), 1)
    assert api.done("write", {"data": data, "ttl": LONG_S, "options": options}, as_) == {"status": "success"}
    assert_expires_in(api, every, LONG_S)
    assert_expires_in(api, short, 60)
    assert expires_at(api, fixed, as_) == moment
    assert expires_at(api, never, as_) is None
    assert api.read(*data, as_=as_) == data


@both_formats
def test_a_key_is_absent_once_it_has_expired_and_not_earlier(api: Api, fresh_key: FreshKey, as_: str) -> None:
    key, other = fresh_key(), fresh_key()
    before = time.time()
    api.done("write", {"data": {key: 1, other: 2}, "options": {key: {"ttl": SHORT_S}}}, as_)
    moment = before + SHORT_S
    while (asked := time.time()) < moment + GONE_WITHIN_S and api.read_document(key)["data"]:
        pass
    assert time.time() >= moment, "the key expired too early"
    assert asked < moment + GONE_WITHIN_S, "the key did not expire"
    assert api.read_document(key, other) == {"data": {other: 2}, "not_found": [key]}


def test_an_expired_key_is_absent_for_every_call(api: Api, fresh_key: FreshKey) -> None:
    keys = [fresh_key() for _ in range(5)]
    read, deleted, touched, counted, conditional = keys
    api.done("write", {"data": dict.fromkeys(keys, 7), "ttl": SHORT_S})
    wait_until_gone(api, keys[-1])
    assert api.done("read", {"keys": [read], "with": ["version"]}) == {"data": {}, "not_found": [read], "meta": {}}
    assert api.delete(deleted) == 0
    assert api.done("touch", {"keys": [touched], "ttl": 60}) == {
        "status": "success",
        "touched": 0,
        "not_found": [touched],
    }
    assert api.done("increment", {"data": {counted: 1}}) == {"data": {counted: 1}}
    refused = problem_of(api.ask("write", {"data": {conditional: 1}, "if": "present"}), "condition-failed")
    assert refused["current"] == {conditional: {}}
    assert api.done("write", {"data": {conditional: 1}, "if": "absent"}) == {"status": "success"}


@both_formats
def test_an_expiry_in_the_past_is_accepted_and_the_key_is_absent(api: Api, fresh_key: FreshKey, as_: str) -> None:
    keys = [fresh_key() for _ in range(3)]
    api.write(dict.fromkeys(keys, 1))
    moments: dict[str, Any] = {
        key: {"expires_at": moment} for key, moment in zip(keys, (time.time() - 1, 0, -1e300), strict=True)
    }
    assert api.done("write", {"data": dict.fromkeys(keys, 2), "options": moments}, as_) == {"status": "success"}
    assert sorted(api.read_document(*keys)["not_found"]) == sorted(keys)


@both_formats
def test_a_write_replaces_the_expiry_unless_it_keeps_it(api: Api, fresh_key: FreshKey, as_: str) -> None:
    replaced, kept, new = fresh_key(), fresh_key(), fresh_key()
    api.done("write", {"data": {replaced: 1, kept: 1}, "ttl": LONG_S}, as_)
    before = expires_at(api, kept)
    api.done("write", {"data": {replaced: 2, kept: 2, new: 2}, "options": {kept: {"ttl": "keep"}}}, as_)
    assert expires_at(api, replaced) is None
    assert expires_at(api, kept) == before
    api.done("write", {"data": {new: 3, kept: 3}, "ttl": "keep"}, as_)
    assert expires_at(api, new) is None
    assert expires_at(api, kept) == before
    assert api.read(kept, new) == {kept: 3, new: 3}


@both_formats
def test_a_touch_gives_another_expiry_and_leaves_value_and_version(api: Api, fresh_key: FreshKey, as_: str) -> None:
    one, other, never, missing = (fresh_key() for _ in range(4))
    api.done("write", {"data": {one: {"a": [1.0]}, other: 2, never: 3}, "ttl": 60}, as_)
    keys = [one, other, never]
    before = api.done("read", {"keys": keys, "with": ["version"]}, as_)
    body = {"keys": [*keys, missing], "ttl": LONG_S, "options": {other: {"ttl": 2 * LONG_S}, never: {"ttl": None}}}
    assert api.done("touch", body, as_) == {"status": "success", "touched": 3, "not_found": [missing]}
    assert_expires_in(api, one, LONG_S)
    assert_expires_in(api, other, 2 * LONG_S)
    assert expires_at(api, never) is None
    assert api.done("read", {"keys": keys, "with": ["version"]}, as_) == before


@both_formats
def test_a_touch_may_expire_keys_or_remove_their_expiry(api: Api, fresh_key: FreshKey, as_: str) -> None:
    ended, lasting = fresh_key(), fresh_key()
    api.done("write", {"data": {ended: 1, lasting: 1}, "ttl": 60}, as_)
    assert api.done("touch", {"keys": [lasting], "ttl": None}, as_) == {"status": "success", "touched": 1}
    assert api.done("touch", {"keys": [ended], "expires_at": time.time() - 1}, as_)["touched"] == 1
    assert expires_at(api, lasting) is None
    assert api.read_document(ended, lasting) == {"data": {lasting: 1}, "not_found": [ended]}


def test_a_member_that_is_not_a_single_value_is_named_with_its_type(api: Api) -> None:
    for member, value, found in (("ttl", [], "array"), ("expires_at", {}, "object")):
        problem = problem_of(api.ask("write", {"data": {"a": 1}, member: value}), "invalid-request", found)
        assert problem["detail"].startswith(f"{member}: Expected a single value")
        assert pointers(problem) == [f"#/{member}"]
