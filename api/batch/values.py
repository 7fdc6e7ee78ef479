"""Decides which values can be stored unchanged: their depth, and the rules for values in JSON.

Every JSON and MessagePack value is stored, except nesting deeper than `MAX_DEPTH`, integers outside [-2^63, 2^64),
numbers that are not finite, and MessagePack extension types that have a meaning for Tarantool. The depth is safe for
every reader: JSON writers and parsers of many languages stop at some hundred levels.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

MAX_DEPTH = 128
"""Levels of arrays and objects in one value; a number or a text alone has none."""


class ValueNotKeptError(ValueError):
    """A value that could not be returned unchanged; the text says why."""


_CONTAINERS = frozenset((dict, list))


def may_be_deep(text: bytes) -> bool:
    """Whether a JSON text has more brackets than a value may have levels; otherwise it cannot be too deep."""
    return text.count(b"[") + text.count(b"{") > MAX_DEPTH


def survey(values: Iterable[Any]) -> tuple[bool, bool]:
    """Whether any of `values` has more levels of lists and dicts than `MAX_DEPTH`, and whether there is a float.

    It goes level by level, without recursion, and stops at the limit.
    """
    floats = False
    level: list[Iterable[Any]] = [tuple(values)]
    for depth in range(MAX_DEPTH + 1):
        kinds = set(map(type, chain.from_iterable(level)))
        floats = floats or float in kinds
        if kinds.isdisjoint(_CONTAINERS):
            break
        if depth == MAX_DEPTH:
            return True, floats
        below = [value for value in chain.from_iterable(level) if type(value) is list or type(value) is dict]
        level = [value.values() if type(value) is dict else value for value in below if value]
    return False, floats


def too_deep(value: Any) -> bool:
    """Whether a value has more levels than `MAX_DEPTH`."""
    return survey((value,))[0]
