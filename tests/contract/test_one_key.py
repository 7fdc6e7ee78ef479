"""`GET`, `HEAD`, `PUT` and `DELETE /api/keys/{key}`: one key by its URL."""

from collections.abc import Callable
from itertools import product
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from tests.contract.calls import JSON, MSGPACK, Api
from tests.contract.conftest import FreshKeys
from tests.contract.limits import MAX_KEY_BYTES, MAX_VALUE_BYTES
from tests.contract.one_key import OneKey
from tests.contract.problems import assert_usable, pointers, problem_of
from tests.contract.samples import JSON_VALUES, MSGPACK_VALUES, NOT_JSON

ENDS = ("", "/", "//", "a/b/", "/../x", "..", ".", "%", "%2F", "%25", "?a=b", "#", "+", " ", "&=;,:@", "é", "\0", "\n",
        "😀", "\\", '"', "<script>", "{}[]|^`", "~-._", "\uffff", "[", "\u202e")  # fmt: skip


@pytest.fixture
def keys(api: Api) -> OneKey:
    return OneKey(api)


@pytest.fixture
def named(fresh_key: FreshKeys) -> Callable[[str], str]:
    """Makes a key that ends in a text."""

    def make(end: str) -> str:
        fresh_key.made.append(fresh_key() + end)
        return fresh_key.made[-1]

    return make


def test_any_key_can_be_named_in_a_path(api: Api, keys: OneKey, named: Callable[[str], str]) -> None:
    for end in ENDS:
        key = named(end)
        etag = keys.stored(key, {"of": end})
        assert api.read(key) == {key: {"of": end}}
        answer = keys.get(key)
        assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, {"of": end}, etag)
        assert keys.delete(key).json() == {"status": "success", "deleted": 1}
        problem_of(keys.get(key), "key-not-found", "not there")


@pytest.mark.direct
def test_escapes_in_a_path_are_decoded_once(api: Api, keys: OneKey, named: Callable[[str], str]) -> None:
    key = named("a+%2B é/")
    api.write({key: 1})
    every = "".join(f"%{byte:02x}" for byte in key.encode())
    mixed = quote(key, safe="+:")
    for spelt in (quote(key, safe=""), every, every.upper(), mixed):
        assert keys.ask("GET", spelt).json() == 1, spelt
    # A plus is not a space; an encoded percent sign does not begin an escape.
    problem_of(keys.ask("GET", quote_plus(key)), "key-not-found")
    problem_of(keys.ask("GET", quote(quote(key, safe=""), safe="")), "key-not-found")


WRONG = {
    "": "0 bytes",
    "%": "percent sign",
    "a%2": "percent sign at character 1",
    "a%zz": "percent sign",
    "%u0041": "percent sign",
    "a%-1": "percent sign",
    "%ff": "UTF-8",
    "%c3": "UTF-8",
    "%ed%a0%80": "UTF-8",
    "%c0%af": "UTF-8",
    "a/b": "slash",
    "a//b": "slash",
    "/a": "slash",
    "a/": "slash",
    "/": "slash",
    "../keys/a": "slash",
    ".": "resolve",
    "..": "resolve",
    "%2e": "resolve",
    "%2E%2e": "resolve",
    ".%2e": "resolve",
    "a" * (MAX_KEY_BYTES + 1): f"{MAX_KEY_BYTES + 1} bytes",
    "%c3%a9" * (MAX_KEY_BYTES // 2 + 1): "bytes",
}


@pytest.mark.direct
def test_paths_without_a_valid_or_unambiguous_key_are_refused(keys: OneKey, api: Api) -> None:
    for method, spelt in product(("GET", "PUT", "DELETE"), WRONG):
        answer = keys.ask(method, spelt, b"1" if method == "PUT" else None)
        problem = problem_of(answer, "invalid-key", WRONG[spelt])
        assert pointers(problem) == ["#/key"]
        assert_usable(api, answer)


def test_the_longest_key_can_be_named(keys: OneKey, named: Callable[[str], str]) -> None:
    key = named("")
    key = named("é" * ((MAX_KEY_BYTES - len(key) - 4) // 2)).removesuffix("")
    key = key + "x" * (MAX_KEY_BYTES - len(key.encode()))
    keys.stored(key, 1)
    assert keys.delete(key).status_code == 200


@pytest.mark.parametrize(
    ("method", "query", "mentions"),
    [
        ("GET", "?x=1", "no parameter 'x'"),
        ("GET", "?ttl=1", "no parameter 'ttl'"),
        ("DELETE", "?ttl=1", "no parameter"),
        ("PUT", "?ttl", "no value"),
        ("PUT", "?ttl=0", "above 0"),
        ("PUT", "?ttl=-1", "above 0"),
        ("PUT", "?ttl=1e999", "at most"),
        ("PUT", "?ttl=0x10", "number"),
        ("PUT", "?ttl=1_0", "number"),
        ("PUT", "?ttl=nan", "number"),
        ("PUT", "?ttl=", "number"),
        ("PUT", "?ttl=999999999", "at most"),
        ("PUT", "?ttl=1&ttl=2", "more than once"),
        ("PUT", "?ttl=1&expires_at=1", "exclude"),
        ("PUT", "?expires_at=x", "number"),
        ("PUT", "?expires_at=999999999999", "at most"),
        ("PUT", "?%zz=1", "percent"),
    ],
)
def test_an_invalid_query_is_refused(
    keys: OneKey, named: Callable[[str], str], method: str, query: str, mentions: str
) -> None:
    answer = keys.ask(method, quote(named(""), safe="") + query, b"1" if method == "PUT" else None)
    problem_of(answer, "invalid-request", mentions)


def test_a_put_sets_keeps_or_removes_the_expiry(api: Api, keys: OneKey, named: Callable[[str], str]) -> None:
    key = named("")
    assert keys.put(key, 1, "?expires_at=4102444800.5").status_code == 200
    assert keys.get(key).headers["x-expires-at"] == "4102444800.5"
    assert keys.put(key, 2, "?ttl=keep").status_code == 200
    assert keys.get(key).headers["x-expires-at"] == "4102444800.5"
    assert keys.put(key, 3, "?ttl=0.25").status_code == 200
    meta = api.done("read", {"keys": [key], "with": ["expires_at"]}).get("meta", {key: {"expires_at": 0}})
    assert meta[key]["expires_at"] < 4102444800
    assert keys.put(key, 4).status_code == 200
    assert "x-expires-at" not in keys.get(key).headers
    assert keys.put(key, 5, "?expires_at=1").status_code == 200
    problem_of(keys.get(key), "key-not-found")


def test_json_values_come_back_unchanged(api: Api, keys: OneKey, named: Callable[[str], str]) -> None:
    for name in JSON_VALUES:
        key = named("")
        keys.stored(key, JSON_VALUES[name])
        answer = keys.get(key)
        assert answer.headers["content-type"] == JSON
        assert api.read(key)[key] == answer.json() == JSON_VALUES[name]


def test_messagepack_values_come_back_as_the_same_bytes(keys: OneKey, named: Callable[[str], str]) -> None:
    for name in MSGPACK_VALUES:
        key, encoded = named(""), MSGPACK_VALUES[name]
        put = keys.put(key, msgspec.Raw(encoded), as_=MSGPACK, accept=MSGPACK)
        assert put.status_code == 200, put.text
        version = msgspec.msgpack.decode(put.content)["version"]
        answer = keys.get(key, accept=MSGPACK)
        assert (answer.content, answer.headers["content-type"]) == (encoded, MSGPACK)
        assert answer.headers["etag"] == put.headers["etag"] == f'"{version}-msgpack"'
        if name in NOT_JSON:
            problem_of(keys.get(key), "not-acceptable", "JSON cannot express")


BODIES: dict[bytes, tuple[str, str]] = {
    b"": ("malformed-body", "empty"),
    b" ": ("malformed-body", "JSON"),
    b"{": ("malformed-body", "JSON"),
    b"nul": ("malformed-body", "JSON"),
    b'1, "b": 2': ("malformed-body", "trailing"),
    b'1}, "if": "absent", "x": {"a": 2': ("malformed-body", "trailing"),
    b"1 2": ("malformed-body", "JSON"),
    b"NaN": ("malformed-body", "JSON"),
    b"\xef\xbb\xbf1": ("malformed-body", "JSON"),
    b'"\xff"': ("invalid-value", "UTF-8"),
    b'"\\ud800"': ("invalid-value", "kept"),
    b"1e400": ("invalid-value", "kept"),
    b"18446744073709551616": ("invalid-value", "kept"),
    b'{"a": [18446744073709551616]}': ("invalid-value", "kept"),
    b"[" * 129 + b"]" * 129: ("invalid-value", "128 levels"),
    b"[" * 9999 + b"]" * 9999: ("invalid-value", "128 levels"),
    b'"' + b"x" * MAX_VALUE_BYTES + b'"': ("invalid-value", "allowed"),
}


def test_a_body_that_is_not_a_valid_value_is_refused_and_nothing_is_stored(
    keys: OneKey, named: Callable[[str], str]
) -> None:
    for body, (kind, mentions) in BODIES.items():
        key = named("")
        answer = keys.ask("PUT", quote(key, safe=""), body)
        problem = problem_of(answer, kind, mentions)
        assert set(pointers(problem)) <= {"#"}
        problem_of(keys.get(key), "key-not-found")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\x01\x01", "malformed-body"),
        (b"\x91", "malformed-body"),
        (b"\xc1", "malformed-body"),
        (b"\xca\x7f\xc0\x00\x00", "invalid-value"),
        (b"\xd4\x01\x01", "invalid-value"),
        (b"\xa1\xff", "invalid-value"),
        (b"\x91" * 129 + b"\xc0", "invalid-value"),
        (b"\x91" * 9999 + b"\xc0", "invalid-value"),
        (b"\xc6\x00\x08\x00\x01" + b"x" * (512 * 1024 + 1), "invalid-value"),
    ],
    ids=range(9),
)
def test_a_messagepack_body_that_is_not_a_valid_value_is_refused(
    keys: OneKey, named: Callable[[str], str], body: bytes, kind: str
) -> None:
    if len(body) > MAX_VALUE_BYTES or MAX_VALUE_BYTES == 512 * 1024:
        problem_of(keys.put(named(""), msgspec.Raw(body), as_=MSGPACK), kind)


def test_a_large_value_comes_back_unchanged(keys: OneKey, named: Callable[[str], str]) -> None:
    key, value = named(""), ["é" * 100, *range(1000), "x" * (MAX_VALUE_BYTES // 2)]
    for as_ in (JSON, MSGPACK):
        assert keys.put(key, value, as_=as_).status_code == 200
        answer: Any = keys.get(key)
        assert answer.json() == value


def test_head_gets_the_answer_of_get_without_the_body(api: Api, keys: OneKey, named: Callable[[str], str]) -> None:
    key = named("")
    etag = keys.stored(key, "twelve bytes")
    for headers, status in (({}, 200), ({"if_none_match": etag}, 304), ({"if_match": '"0"'}, 412)):
        got, head = keys.get(key, **headers), keys.get(key, "HEAD", **headers)
        assert got.status_code == head.status_code == status
        assert head.content == b""
        assert head.headers.get("etag") == got.headers.get("etag")
        assert status == 412 or head.headers.get("content-length") == got.headers.get("content-length")
        assert_usable(api, head)
    assert keys.get(named("x"), "HEAD").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS"])
def test_the_refusal_of_another_method_names_the_allowed_ones(keys: OneKey, method: str) -> None:
    answer = keys.ask(method, "x", b"1")
    problem_of(answer, "method-not-allowed", "GET, HEAD, PUT, DELETE")
    assert answer.headers["allow"] == "GET, HEAD, PUT, DELETE"


def test_the_path_without_a_key_is_not_found(api: Api) -> None:
    for path in ("/api/keys", "/api/key/x", "/api/keysx"):
        answer = api.http.get(path, headers={"authorization": str(api.token)})
        problem_of(answer, "not-found")


def test_a_request_without_a_token_is_refused(stranger: Api, named: Callable[[str], str]) -> None:
    keys = OneKey(stranger)
    for answer in (keys.get(named("")), keys.put(named(""), 1), keys.delete(named(""))):
        problem_of(answer, "unauthorized", "missing")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert_usable(stranger, answer)


def test_a_media_type_other_than_the_two_is_refused(keys: OneKey, named: Callable[[str], str]) -> None:
    problem_of(keys.put(named(""), 1, as_="text/plain"), "unsupported-media-type")
    problem_of(keys.ask("PUT", "x", b"1", {"content-encoding": "gzip"}), "unsupported-content-coding")
    problem_of(keys.ask("DELETE", "x", b"1"), "body-too-large")
