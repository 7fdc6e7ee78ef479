"""Which values can be kept unchanged: the rules that the decoders do not enforce by themselves.

Every JSON and MessagePack value is kept, but for nesting past `MAX_DEPTH`, integers outside [-2^63, 2^64), numbers
that are not finite, and MessagePack extension types that mean something to Tarantool. The depth keeps every reader
safe: JSON writers and parsers of many languages stop at some hundred levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import msgpack
from msgspec.msgpack import Ext

MAX_DEPTH = 128
"""Levels of arrays and objects in one value; a bare number or text has none."""


TARANTOOL_EXTENSIONS = range(1, 9)
"""Tarantool's own types (decimal, UUID, datetime, …): it decodes them while it recovers, and fails on a wrong one."""

_CONTAINERS = frozenset((dict, list))


class ValueNotKeptError(ValueError):
    """A value that could not come back as it went in; the text says why."""


def _children(value: Any) -> Iterable[Any]:
    return value.values() if type(value) is dict else value


def deeper_than(values: Iterable[Any], depth: int) -> bool:
    """Whether any of `values` has more than `depth` levels of lists and dicts. Level by level, without recursion."""
    level = [value for value in values if type(value) is dict or type(value) is list]
    for _ in range(depth):
        if not level:
            return False
        level = [child for value in level for child in _children(value) if type(child) is dict or type(child) is list]
    return bool(level)


def check_json(data: Mapping[str, Any], body: bytes) -> str | None:
    """The first key whose value is nested too deep, if there is one.

    Most batches are settled without a walk: a bare number or text has no depth, and a body cannot be deeper than it has
    brackets.
    """
    if _CONTAINERS.isdisjoint(map(type, data.values())):
        return None
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return None
    if not deeper_than(data.values(), MAX_DEPTH):
        return None
    return next(key for key, value in data.items() if deeper_than((value,), MAX_DEPTH))


def check_msgpack(value: Any, encoded: memoryview | None = None) -> None:
    """Check a value decoded from MessagePack, where JSON's grammar does not exclude `NaN` and deep nesting.

    With `encoded`, the bytes that it was decoded from, also what a map has under a name that stands there again: it is
    not in the decoded value, but it is kept with the bytes.

    Raises:
        ValueNotKeptError: it is one of those.
    """
    if _check(value) and encoded is not None:
        _check(msgpack.unpackb(encoded, object_pairs_hook=_in_a_row, strict_map_key=False, ext_hook=Ext))


def _in_a_row(members: list[tuple[Any, Any]]) -> list[Any]:
    """Names and values of a map as one list, which is as deep as the map."""
    return [part for member in members for part in member]


def _check(value: Any) -> bool:
    """As `check_msgpack`; returns whether there is a map."""
    found = False
    level = [value]
    depth = 0
    while level:
        following: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is float:
                if not isfinite(item):
                    raise ValueNotKeptError("a number is not finite")
            elif kind is Ext:
                if item.code in TARANTOOL_EXTENSIONS:
                    raise ValueNotKeptError(f"extension type {item.code} is one of Tarantool's own")
            elif kind is list or kind is tuple or kind is dict:
                if depth == MAX_DEPTH:
                    raise ValueNotKeptError(f"nested deeper than {MAX_DEPTH} levels")
                following.extend(item)
                if kind is dict:
                    found = True
                    following.extend(item.values())
        level = following
        depth += 1
    return found
