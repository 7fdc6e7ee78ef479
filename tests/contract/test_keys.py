"""Keys: which are allowed, and that different keys are never mistaken for each other."""

import random
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.calls import JSON, MSGPACK, Api, json_body, msgpack_body
from tests.contract.conftest import FreshKeys
from tests.contract.limits import MAX_KEY_BYTES
from tests.contract.problems import pointers, problem_of

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


RARE = {1: (0x01, 0x1F), 2: (0x700, 0x7BF), 3: (0xE000, 0xF8FF), 4: (0xF0000, 0xFFFFD)}
"""Characters that occur in hardly any key, by their length in bytes: controls, Syriac and Thaana, private use."""


def key_of(size: int, character: str, prefix: str = "") -> str:
    """A key of exactly `size` bytes that begins with `prefix` and then repeats one character as far as it fits."""
    times, rest = divmod(size - len(prefix.encode()), len(character.encode()))
    return prefix + character * times + "b" * rest


def short_key_of(size: int, width: int, control: str) -> str:
    """A key too short for a prefix: random rare characters of `width` bytes, then `control` and others of one byte."""
    times, rest = divmod(size, width) if width > 1 else (0, size)
    wide = [chr(random.randint(*RARE[width])) for _ in range(times)]
    narrow = [control, *(chr(random.randint(*RARE[1])) for _ in range(rest - 1))] if rest else []
    return "".join(wide + narrow)


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
@pytest.mark.parametrize("character", ALPHABET)
def test_keys_of_every_length_are_different_keys(api: Api, fresh_key: FreshKeys, character: str, as_: str) -> None:
    prefix, width = fresh_key(), len(character.encode())
    # Each of the tests that may run at the same time has a key of one byte of its own.
    control = chr(0x10 + 2 * width + (as_ == JSON))
    short = [short_key_of(size, width, control) for size in range(1, len(prefix))]
    # Where the tests run against a system in use, a short key may exist already: the test leaves it alone.
    keys = api.read_document(*short)["not_found"]
    keys += [key_of(size, character, prefix) for size in range(len(prefix), MAX_KEY_BYTES + 1)]
    fresh_key.made += keys
    data = {key: [len(key.encode()), character, as_] for key in keys}
    api.write(data, as_=as_)
    assert api.read(*data, as_=as_) == data
    assert api.delete(*data) == len(data)


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
@pytest.mark.parametrize("name", STRANGE_KEYS)
def test_any_text_may_be_a_key(api: Api, fresh_key: FreshKeys, name: str, as_: str) -> None:
    fresh, strange = fresh_key(), STRANGE_KEYS[name]
    data = {strange + fresh: 1, fresh + strange: 2, fresh + strange + fresh: 3, fresh: 4}
    fresh_key.made += data
    api.write(data, as_=as_)
    assert api.read(*data, as_=as_) == data


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
@pytest.mark.parametrize("character", ALPHABET)
def test_a_key_that_is_one_byte_too_long_is_refused(api: Api, character: str, as_: str) -> None:
    key = key_of(MAX_KEY_BYTES + 1, character)
    document = {"data": {key: 1}}
    body = json_body(document) if as_ == JSON else msgpack_body(document)
    problem = problem_of(api.post("write", body, {"content-type": as_}), "invalid-key", f"{MAX_KEY_BYTES + 1} bytes")
    assert pointers(problem)[0].startswith(f"#/data/{quote(key[:64])}")


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_an_empty_key_is_refused(api: Api, as_: str) -> None:
    document = {"data": {"": 1}}
    body = json_body(document) if as_ == JSON else msgpack_body(document)
    problem_of(api.post("write", body, {"content-type": as_}), "invalid-key", "0 bytes")


@pytest.mark.parametrize(
    ("call", "more"), [("read", {}), ("delete", {}), ("delete", {"if": "absent"}), ("touch", {"ttl": 1})]
)
@pytest.mark.parametrize("key", ["", "a" * (MAX_KEY_BYTES + 1)])
def test_a_key_that_cannot_be_stored_cannot_be_read(api: Api, call: str, more: dict[str, Any], key: str) -> None:
    document = {"keys": ["good", key], **more}
    problem = problem_of(api.post(call, json_body(document)), "invalid-key", f"{len(key)} bytes")
    assert pointers(problem) == ["#/keys/1"]


@pytest.mark.parametrize(("call", "more"), [("write", {"if": "absent"}), ("write", {"ttl": 1}), ("increment", {})])
def test_a_key_that_cannot_be_stored_cannot_be_changed(api: Api, call: str, more: dict[str, Any]) -> None:
    key = "a" * (MAX_KEY_BYTES + 1)
    problem = problem_of(api.post(call, json_body({"data": {key: 1}, **more})), "invalid-key", f"{len(key)} bytes")
    assert pointers(problem) == [f"#/data/{key}"]
