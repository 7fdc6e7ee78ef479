from collections.abc import Callable

import pytest

from tests.contract.calls import JSON, MSGPACK, Api, json_body, msgpack_body
from tests.contract.limits import MAX_KEY_BYTES
from tests.contract.problems import pointers, problem_of

FreshKey = Callable[[], str]

STRANGE_KEYS = {
    "NUL": "\0",
    "NUL at the end": "a\0",
    "an emoji": "\U0001f600",
    "combining": "e\u0301",
    "composed": "\u00e9",
    "a space": " ",
    "a quote": '"',
    "a slash and a tilde": "~/a~1",
    "the last character": "\U0010ffff",
    "a byte order mark": "\ufeff",
    "a newline": "a\nb",
    "a word of Python": "__class__",
}
ALPHABET = ("a", "\u00e9", "\u20ac", "\U0001f600")
"""Characters of one, two, three and four bytes."""


def key_of(size: int, character: str) -> str:
    """A key of exactly `size` bytes, of one character as far as that goes."""
    times, rest = divmod(size, len(character.encode()))
    return character * times + "b" * rest


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
@pytest.mark.parametrize("character", ALPHABET)
def test_keys_of_every_length_are_kept_apart(api: Api, character: str, as_: str) -> None:
    data = {key_of(size, character): [size, character, as_] for size in range(1, MAX_KEY_BYTES + 1)}
    api.write(data, as_=as_)
    assert api.read(*data, as_=as_) == data
    assert api.delete(*data) == len(data)


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
@pytest.mark.parametrize("name", STRANGE_KEYS)
def test_a_key_is_any_text(api: Api, fresh_key: FreshKey, name: str, as_: str) -> None:
    prefix = fresh_key()
    data = {STRANGE_KEYS[name]: prefix, prefix + STRANGE_KEYS[name]: 2}
    api.write(data, as_=as_)
    assert api.read(*data, as_=as_) == data


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
@pytest.mark.parametrize("character", ALPHABET)
def test_a_key_of_one_byte_too_many_is_refused(api: Api, character: str, as_: str) -> None:
    key = key_of(MAX_KEY_BYTES + 1, character)
    document = {"data": {key: 1}}
    body = json_body(document) if as_ == JSON else msgpack_body(document)
    problem = problem_of(api.post("write", body, {"content-type": as_}), "invalid-key", f"{MAX_KEY_BYTES + 1} bytes")
    assert pointers(problem)[0].startswith(f"#/data/{key[:64]}")


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_an_empty_key_is_refused(api: Api, as_: str) -> None:
    document = {"data": {"": 1}}
    body = json_body(document) if as_ == JSON else msgpack_body(document)
    problem_of(api.post("write", body, {"content-type": as_}), "invalid-key", "0 bytes")


@pytest.mark.parametrize("call", ["read", "delete"])
@pytest.mark.parametrize("key", ["", "a" * (MAX_KEY_BYTES + 1)])
def test_a_key_that_cannot_be_stored_cannot_be_asked_for(api: Api, call: str, key: str) -> None:
    problem = problem_of(api.post(call, json_body({"keys": ["good", key]})), "invalid-key", f"{len(key)} bytes")
    assert pointers(problem) == ["#/keys/1"]
