"""Malformed requests: each is refused with a problem that names the fault, and the connection stays open."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.contract.calls import JSON, MSGPACK, Api, json_body, msgpack_body
from tests.contract.limits import MAX_LOGIN_BYTES
from tests.contract.problems import assert_usable, pointers, problem_of

FreshKey = Callable[[], str]

MALFORMED_JSON: dict[str, bytes] = {
    "nothing": b"",
    "spaces only": b"  ",
    "a word": b"hello",
    "an end too early": b'{"data": {"a": 1}',
    "an end inside a text": b'{"data": {"a": "b',
    "trailing bytes": b'{"data": {"a": 1}} x',
    "two documents": b'{"data": {"a": 1}}{"data": {"a": 1}}',
    "a trailing comma": b'{"data": {"a": 1,}}',
    "a comment": b'{"data": {"a": 1}} // one',
    "single quotes": b"{'data': {'a': 1}}",
    "a name without quotes": b'{data: {"a": 1}}',
    "a byte order mark": b'\xef\xbb\xbf{"data": {"a": 1}}',
    "UTF-16": '{"data": {"a": 1}}'.encode("utf-16"),
    "MessagePack": b"\x81\xa4data\x81\xa1a\x01",
    "brackets without end": b"[" * 100_000,
    "objects without end": b'{"a":' * 100_000,
    "a NUL before": b'\0{"data": {"a": 1}}',
    "bad UTF-8 in the member's name": b'{"data": {"a": 1}, "\xff": 1}',
}

WRONG_FORM: dict[str, tuple[bytes, str]] = {
    "null": (b"null", "object"),
    "a number": (b"1", "object"),
    "an array": (b"[]", "object"),
    "an empty object": (b"{}", "data"),
    "another member": (b'{"date": {"a": 1}}', "date"),
    "an unknown member": (b'{"data": {"a": 1}, "more": 1}', "more"),
    "data that is null": (b'{"data": null}', "$.data"),
    "data that is an array": (b'{"data": [1]}', "$.data"),
    "data that is a text": (b'{"data": "a"}', "$.data"),
    "keys instead of data": (b'{"keys": ["a"]}', "keys"),
}

WRONG_KEYS: dict[str, tuple[bytes, str]] = {
    "an empty object": (b"{}", "keys"),
    "an unknown member": (b'{"keys": ["a"], "more": 1}', "more"),
    "keys that are null": (b'{"keys": null}', "$.keys"),
    "keys that are an object": (b'{"keys": {"a": 1}}', "$.keys"),
    "keys that are a text": (b'{"keys": "abc"}', "$.keys"),
    "a number as a key": (b'{"keys": ["a", 1]}', "$.keys[1]"),
    "null as a key": (b'{"keys": [null]}', "$.keys[0]"),
    "an array as a key": (b'{"keys": [["a"]]}', "$.keys[0]"),
    "data instead of keys": (b'{"data": {"a": 1}}', "data"),
}

BAD_VALUES: dict[str, tuple[bytes, str]] = {
    "2^64": (b"18446744073709551616", "integer"),
    "-2^63 - 1": (b"-9223372036854775809", "integer"),
    "a large integer": (b"1" + b"0" * 30, "integer"),
    "an integer past every float": (b"1" + b"0" * 400, "integer"),
    "an integer of 5,000 digits": (b"1" + b"0" * 5000, "out of range"),
    "2^64 inside": (b'[{"x": [18446744073709551616]}]', "integer"),
    "a float out of range": (b"1e400", "out of range"),
    "a negative float out of range": (b"[-1e400]", "out of range"),
    "NaN": (b"NaN", ""),
    "Infinity": (b"Infinity", ""),
    "-Infinity": (b"[-Infinity]", ""),
    "a lone high surrogate": (rb'"\ud800"', "surrogate"),
    "a lone low surrogate": (rb'"a\udc00b"', "surrogate"),
    "surrogates in the wrong order": (rb'"\udc00\ud800"', "surrogate"),
    "a lone surrogate inside": (rb'{"x": ["\ud83d"]}', "surrogate"),
    "a lone surrogate as a name": (rb'{"\ud83d": 1}', "surrogate"),
    "bad UTF-8": (b'"\xff"', "UTF-8"),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', "UTF-8"),
    "an overlong NUL": (b'"\xc0\x80"', "UTF-8"),
    "bad UTF-8 inside": (b'{"x": ["\xe2\x82"]}', "UTF-8"),
    "200 levels": (b"[" * 200 + b"]" * 200, "levels"),
}
"""Values that cannot be stored, and what the problem must say besides their key."""

GRAMMAR = ("NaN", "Infinity", "-Infinity")
"""Those of `BAD_VALUES` that no JSON document may hold at all."""

MALFORMED_MSGPACK: dict[str, bytes] = {
    "nothing": b"",
    "an end too early": b"\x81\xa4data\x81\xa1a",
    "an end inside a text": b"\x81\xa4data\x81\xa1a\xa5abc",
    "trailing bytes": b"\x81\xa4data\x81\xa1a\x01\x00",
    "the byte that MessagePack never uses": b"\xc1",
    "that byte as a value": b"\x81\xa4data\x81\xa1a\xc1",
    "arrays without end": b"\x91" * 100_000,
    "a map that lies about its length": b"\x81\xa4data\xdf\xff\xff\xff\xff\xa1a\x01",
    "a text that lies about its length": b"\x81\xa4data\x81\xa1a\xdb\xff\xff\xff\xffa",
    "bad UTF-8 as a key": b"\x81\xa4data\x81\xa1\xff\x01",
}

WRONG_FORM_MSGPACK: dict[str, tuple[Any, str]] = {
    "nil": (None, "object"),
    "an array": ([], "object"),
    "an empty map": ({}, "data"),
    "an unknown member": ({"data": {"a": 1}, "more": 1}, "more"),
    "data that is nil": ({"data": None}, "$.data"),
    "data that is an array": ({"data": [1]}, "$.data"),
    "a number as a key": ({"data": {1: 1}}, "$.data"),
    "bytes as a key": ({"data": {b"a": 1}}, "$.data"),
}

BAD_VALUES_MSGPACK: dict[str, tuple[bytes, str]] = {
    "NaN": (b"\xcb\x7f\xf8" + bytes(6), "finite"),
    "NaN in four bytes": (b"\xca\x7f\xc0\x00\x00", "finite"),
    "Infinity": (b"\xcb\x7f\xf0" + bytes(6), "finite"),
    "-Infinity in four bytes": (b"\xca\xff\x80\x00\x00", "finite"),
    "NaN inside": (b"\x81\xa1x\x91\xcb\x7f\xf8" + bytes(6), "finite"),
    "NaN as a name": (b"\x81\xcb\x7f\xf8" + bytes(6) + b"\x01", "finite"),
    "NaN at the greatest depth": (b"\x91" * 128 + b"\xcb\x7f\xf8" + bytes(6), "finite"),
    "bad UTF-8": (b"\xa1\xff", "UTF-8"),
    "a surrogate in UTF-8": (b"\xa3\xed\xa0\x80", "UTF-8"),
    "bad UTF-8 inside": (b"\x91\xa1\xff", "UTF-8"),
    "bad UTF-8 as a name": (b"\x81\xa1\xff\x01", "UTF-8"),
    "a map as a name": (b"\x81\x80\x01", "map keys"),
    "an array that is too deep as a name": (b"\x81" + b"\x91" * 128 + b"\xc0\x01", "levels"),
    "200 levels": (b"\x91" * 200 + b"\xc0", "levels"),
    "a decimal of Tarantool's own": (b"\xc7\x03\x01\x01\x01\x2c", "extension"),
    "the last extension of Tarantool's own": (b"\xd4\x08\x00", "extension"),
    "an extension of Tarantool's own inside": (b"\x81\xa1x\x91\xd4\x02\x00", "extension"),
    "NaN under a name that comes again": (b"\x82\xa1x\xcb\x7f\xf8" + bytes(6) + b"\xa1x\x01", "finite"),
    "a decimal under a name that comes again": (b"\x82\xa1x\xc7\x03\x01\x01\x01\x2c\xa1x\x01", "extension"),
    "300 levels under a name that comes again": (b"\x82\xa1x" + b"\x91" * 300 + b"\xc0\xa1x\x01", "levels"),
    "such a name within a name's value": (b"\x91\x81\xa1y\x82\x01\xd4\x02\x00\x01\xc0", "extension"),
    "an extension as a name": (b"\x81\xd4\x2a\x01\x01", "map keys"),
}


@pytest.mark.parametrize("call", ["write", "read", "delete", "touch", "increment", "login", "users"])
@pytest.mark.parametrize("name", MALFORMED_JSON)
def test_a_body_that_is_not_json_is_refused(api: Api, call: str, name: str) -> None:
    answer = api.post(call, MALFORMED_JSON[name])
    problem = problem_of(answer, json.loads(answer.content)["type"].rpartition(":")[2])
    assert answer.status_code == (
        413 if call in ("login", "users") and len(MALFORMED_JSON[name]) > MAX_LOGIN_BYTES else 400
    )
    assert problem["detail"]
    assert_usable(api, answer)


@pytest.mark.parametrize("name", ["nothing", "an end too early", "trailing bytes", "a byte order mark", "UTF-16"])
def test_the_problem_says_that_a_body_is_not_json(api: Api, name: str) -> None:
    problem_of(api.post("write", MALFORMED_JSON[name]), "malformed-body", "the body is")


@pytest.mark.parametrize("call", ["write", "increment"])
@pytest.mark.parametrize("name", WRONG_FORM)
def test_a_call_with_data_of_another_form_is_refused(api: Api, call: str, name: str) -> None:
    body, mentioned = WRONG_FORM[name]
    answer = api.post(call, body)
    problem_of(answer, "invalid-request", mentioned)
    assert_usable(api, answer)


@pytest.mark.parametrize("call", ["read", "delete", "touch"])
@pytest.mark.parametrize("name", WRONG_KEYS)
def test_a_call_with_keys_of_another_form_is_refused(api: Api, call: str, name: str) -> None:
    body, mentioned = WRONG_KEYS[name]
    answer = api.post(call, body)
    problem_of(answer, "invalid-request", mentioned)
    assert_usable(api, answer)


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_value_that_cannot_be_stored_is_named(api: Api, fresh_key: FreshKey, name: str) -> None:
    value, mentioned = BAD_VALUES[name]
    good, bad = fresh_key(), fresh_key()
    answer = api.post("write", b'{"data": {"%s": 1, "%s": %s}}' % (good.encode(), bad.encode(), value))
    if name in GRAMMAR:
        problem_of(answer, "malformed-body")
    else:
        problem = problem_of(answer, "invalid-value", repr(bad))
        assert mentioned in problem["detail"]
        assert pointers(problem) == [f"#/data/{bad}"]
    assert_usable(api, answer)
    assert api.read_document(good, bad)["data"] == {}


@pytest.mark.parametrize("value", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000])
def test_a_value_that_would_crash_a_parser_is_refused(api: Api, value: bytes) -> None:
    answer = api.post("write", b'{"data": {"a": %s}}' % value)
    problem_of(answer, "invalid-value", "levels")
    assert_usable(api, answer)


def test_a_messagepack_value_that_would_crash_a_parser_is_refused(api: Api) -> None:
    answer = api.post("write", b"\x81\xa4data\x81\xa1a" + b"\x91" * 100_000 + b"\xc0", {"content-type": MSGPACK})
    problem_of(answer, "invalid-value", "levels")
    assert_usable(api, answer)


def test_a_key_with_a_lone_surrogate_is_refused(api: Api) -> None:
    answer = api.post("write", rb'{"data": {"a": 1, "x\ud800y": 1}}')
    problem_of(answer, "invalid-value", "surrogate")
    assert "ud800" in answer.text
    assert_usable(api, answer)


@pytest.mark.parametrize("call", ["read", "delete"])
def test_a_call_with_a_lone_surrogate_in_a_key_is_refused(api: Api, call: str) -> None:
    for key in (rb"x\ud800y", rb"x\ud800", rb"\udc00x", rb"x\ud800 and more behind it"):
        answer = api.post(call, b'{"keys": ["%b"]}' % key)
        problem_of(answer, "malformed-body", "surrogate pair")
        assert_usable(api, answer)


def test_a_pair_of_escaped_surrogates_is_one_character(api: Api, fresh_key: FreshKey) -> None:
    key = fresh_key()
    assert api.post("write", b'{"data": {"%s": "\\ud83d\\ude00"}}' % key.encode()).status_code == 200
    assert api.read(key) == {key: "\U0001f600"}


@pytest.mark.parametrize("name", MALFORMED_MSGPACK)
def test_a_body_that_is_not_messagepack_is_refused(api: Api, name: str) -> None:
    answer = api.post("write", MALFORMED_MSGPACK[name], {"content-type": MSGPACK})
    assert answer.status_code == 400
    assert_usable(api, answer)


@pytest.mark.parametrize("name", WRONG_FORM_MSGPACK)
def test_a_messagepack_write_of_another_form_is_refused(api: Api, name: str) -> None:
    document, mentioned = WRONG_FORM_MSGPACK[name]
    answer = api.post("write", msgpack_body(document), {"content-type": MSGPACK})
    problem_of(answer, "invalid-request", mentioned)
    assert_usable(api, answer)


@pytest.mark.parametrize("name", BAD_VALUES_MSGPACK)
def test_a_messagepack_value_that_cannot_be_stored_is_named(api: Api, fresh_key: FreshKey, name: str) -> None:
    value, mentioned = BAD_VALUES_MSGPACK[name]
    good, bad = fresh_key(), fresh_key()
    body = b"\x81\xa4data\x82" + msgpack_body(good) + b"\x01" + msgpack_body(bad) + value
    answer = api.post("write", body, {"content-type": MSGPACK})
    problem = problem_of(answer, "invalid-value", repr(bad))
    assert mentioned in problem["detail"]
    assert pointers(problem) == [f"#/data/{bad}"]
    assert_usable(api, answer)
    assert api.read_document(good, bad)["data"] == {}


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
@pytest.mark.parametrize(
    ("call", "member"),
    [("write", "data"), ("increment", "data"), ("read", "keys"), ("delete", "keys"), ("touch", "keys")],
)
def test_an_empty_batch_is_refused(api: Api, call: str, member: str, as_: str) -> None:
    document: dict[str, Any] = {member: {} if member == "data" else []}
    body = json_body(document) if as_ == JSON else msgpack_body(document)
    answer = api.post(call, body, {"content-type": as_})
    problem = problem_of(answer, "empty-batch", member)
    assert pointers(problem) == [f"#/{member}"]
    assert_usable(api, answer)


@pytest.mark.parametrize("body", [b"[]", b'{"a": 1}', b"x", b"null"])
def test_a_logout_with_a_body_is_refused(api: Api, body: bytes) -> None:
    answer = api.post("logout", body)
    problem_of(answer, "invalid-request", "logout")
    assert_usable(api, answer)


@pytest.mark.parametrize(
    ("document", "mentioned"),
    [
        ({}, "username"),
        ({"username": "x"}, "password"),
        ({"password": "x"}, "username"),
        ({"username": "x", "password": "y", "remember": True}, "remember"),
        ({"username": "", "password": "y"}, "the user name is empty"),
        ({"username": "x", "password": ""}, "the password is empty"),
        ({"username": "", "password": ""}, "the user name is empty"),
        ({"username": 1, "password": "y"}, "$.username"),
        ({"username": "x", "password": None}, "$.password"),
        ([], "object"),
    ],
)
@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_login_of_another_form_is_refused(stranger: Api, document: Any, mentioned: str, as_: str) -> None:
    body = json_body(document) if as_ == JSON else msgspec.msgpack.encode(document)
    answer = stranger.post("login", body, {"content-type": as_})
    problem_of(answer, "invalid-request", mentioned)
    assert_usable(stranger, answer)


def test_a_login_with_a_very_long_password_is_refused(stranger: Api) -> None:
    problem_of(stranger.post("login", json_body({"username": "x", "password": "y" * 1025})), "invalid-request", "1024")
