"""Finds the key whose value makes a JSON or MessagePack body invalid, so that the problem can name it.

The decoders of `api.batch.decode` reject such a body as a whole. This work is done only for bodies that are refused,
and each of its steps is short.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from json.decoder import scanstring  # type: ignore[attr-defined] # documented in the module itself only
from typing import Any

import msgspec
from msgpack import Unpacker, UnpackException

from api.batch.msgpack_walk import walk
from api.batch.steps import Steps
from api.batch.values import ValueNotKeptError, too_deep

MAX_BYTES = 1024 * 1024
"""Larger JSON bodies are not searched for deep values: a single value could take a second to parse."""

_SPACE = r"[ \t\r\n]*"
_DATA = re.compile(rf'{_SPACE}{{{_SPACE}"data"{_SPACE}:{_SPACE}{{{_SPACE}"')
_COLON = re.compile(rf"{_SPACE}:{_SPACE}")
_COMMA = re.compile(rf'{_SPACE},{_SPACE}"')
_PLACE = re.compile(r"\(byte (\d+)\)")
MAX_KEY_BYTES = 8 * 1024
"""The longest key as it is written, with every character escaped."""

_NEAR = 16
"""The faulty escape must be within this many bytes before the place that an error names."""

_ESCAPE = 6
"""The length of an escape such as `\\ud83d`."""

_value_json = json.JSONDecoder().raw_decode

Members = Mapping[str, msgspec.Raw]


def too_deep_in_json(body: bytes) -> Steps[str | None]:
    """The first key of a write whose value is nested too deep; None if another fault is found first, or none."""
    if len(body) > MAX_BYTES:
        return None
    try:
        text = body.decode()
        opening = _DATA.match(text)
        while opening is not None:
            key: str
            key, end = scanstring(text, opening.end())
            colon = _COLON.match(text, end)
            if colon is None:
                return None
            try:
                value, end = _value_json(text, colon.end())
            except RecursionError:
                return key
            if too_deep(value):
                return key
            opening = _COMMA.match(text, end)
            yield
    except ValueError:
        pass
    return None


def too_deep_in_msgpack(body: bytes) -> Steps[str | None]:
    """The same for MessagePack."""
    unpacker = Unpacker(max_buffer_size=len(body))
    unpacker.feed(body)
    try:
        if not unpacker.read_map_header() or unpacker.unpack() != "data":
            return None
        for _ in range(unpacker.read_map_header()):
            key = unpacker.unpack()
            try:
                yield from walk(body, unpacker.tell())
            except ValueNotKeptError:
                return str(key)
            unpacker.skip()
    except (ValueError, IndexError, UnpackException):
        pass
    return None


def lone_surrogate(body: bytes, error: Exception, members: Callable[[bytes], Members]) -> Steps[str | None]:
    """The key that holds half of a surrogate pair, or whose value does, if `members` cannot read a body because of it.

    Two bodies are made in which the escapes from that place on are valid, and which differ in one digit there: the
    escape belongs to the member that differs.
    """
    place = _PLACE.search(str(error))
    end = int(place[1]) if place is not None else len(body)
    at = max(body.rfind(b"\\ud", 0, end), body.rfind(b"\\uD", 0, end))
    if at < max(0, end - _NEAR):
        return None
    digit = at + 3
    # The broken escape may be the first of two.
    for begin in (at, max(0, at - _ESCAPE)):
        yield
        sound = body[:begin] + body[begin:].replace(b"\\ud", b"\\u0").replace(b"\\uD", b"\\u0")
        other = sound[:digit] + (b"2" if sound[digit : digit + 1] == b"1" else b"1") + sound[digit + 1 :]
        yield
        try:
            ours = members(sound)
            yield
            others = members(other)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        for (key, value), (other_key, other_value) in zip(ours.items(), others.items(), strict=False):
            if key != other_key:
                return _written_key(body, at)
            if bytes(value) != bytes(other_value):
                return key
        return None
    return None


def _written_key(body: bytes, at: int) -> str | None:
    """The key that contains the escape at `at`, with its surrogates as escapes."""
    first = max(0, at - MAX_KEY_BYTES)
    near = body[first : at + MAX_KEY_BYTES].decode(errors="replace")
    end = len(body[first:at].decode(errors="replace"))
    begin = near.rfind('"', 0, end)
    while begin > 0 and (begin - len(near[:begin].rstrip("\\"))) % 2:
        begin = near.rfind('"', 0, begin)
    try:
        key: Any = scanstring(near, begin + 1)[0]
    except ValueError:
        return None
    return str(key).encode("utf-8", "backslashreplace").decode()
