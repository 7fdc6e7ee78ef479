"""Checks a MessagePack value byte by byte: whether it can be stored unchanged.

It makes no objects of the value: neither of map keys nor of timestamps, which may be later than Python's last year.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import repeat
from math import isfinite

from api.batch.msgpack_runs import ELEMENTS, RUN, SCALARS
from api.batch.steps import Steps
from api.batch.values import MAX_DEPTH, ValueNotKeptError

TARANTOOL_EXTENSIONS = range(1, 9)
"""Tarantool's own types (decimal, UUID, datetime, …): it decodes them while it recovers, and fails on an invalid
one."""

TIMESTAMP = 255
"""The extension type of timestamps, -1, as a byte. Map keys may have no other extension type."""

WALK = 10_000
"""Elements that one step checks: some milliseconds."""

_FLOAT, _TEXT, _ARRAY, _MAP, _BINARY, _EXTENSION, _NOTHING = range(-7, 0)


def _sizes() -> list[int]:
    """By the first byte of a value: its size if that is fixed, otherwise its kind, as a number below 0."""
    sizes = [1] * 256
    kinds = {
        _MAP: (*range(0x80, 0x90), 0xDE, 0xDF),
        _ARRAY: (*range(0x90, 0xA0), 0xDC, 0xDD),
        _TEXT: (*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB),
        _NOTHING: (0xC1,),
        _BINARY: (0xC4, 0xC5, 0xC6),
        _EXTENSION: (0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9)),
        _FLOAT: (0xCA, 0xCB),
        2: (0xCC, 0xD0),
        3: (0xCD, 0xD1),
        5: (0xCE, 0xD2),
        9: (0xCF, 0xD3),
    }
    for kind, firsts in kinds.items():
        for first in firsts:
            sizes[first] = kind
    return sizes


_SIZES = _sizes()
_FLOATS = {0xCA: struct.Struct(">f"), 0xCB: struct.Struct(">d")}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_LENGTHS = {
    **dict.fromkeys((0xC4, 0xC7, 0xD9), 1),
    **dict.fromkeys((0xC5, 0xC8, 0xDA, 0xDC, 0xDE), 2),
    **dict.fromkeys((0xC6, 0xC9, 0xDB, 0xDD, 0xDF), 4),
}
"""The size of the length field after the first byte."""

_WRONG_KEY = "map keys hold no map, and no extension type but timestamps"


def walk(data: bytes, at: int = 0) -> Steps[int]:  # noqa: C901, PLR0912 - a call for each part would take twice as long
    """Check the value that begins at `at`; returns where it ends.

    Raises:
        ValueNotKeptError: the value could not be returned unchanged.
        IndexError: the data end before the value does.
    """
    # Of the current container: elements to come, whether it is a map, and whether it is part of a map key.
    left, is_map, in_key = 1, False, False
    outer: list[tuple[int, bool, bool]] = []
    sizes = _SIZES
    # Elements to check one by one before the next search for a run.
    single = 0
    while True:
        for _ in repeat(None, WALK):
            while not left:
                if not outer:
                    if at > len(data):
                        raise IndexError
                    return at
                left, is_map, in_key = outer.pop()
            if single:
                single -= 1
            elif left >= RUN and not in_key:
                run = _run(data, at, is_map=is_map, depth=len(outer))
                if run:
                    at, left = run, left - RUN
                    continue
                single = RUN
            first = data[at]
            size = sizes[first]
            left -= 1
            if size > 0:
                at += size
                continue
            is_key = in_key or (is_map and left & 1 == 1)
            if size in (_ARRAY, _MAP):
                outer.append((left, is_map, in_key))
                if len(outer) > MAX_DEPTH:
                    raise ValueNotKeptError(f"nested deeper than {MAX_DEPTH} levels")
                is_map, in_key = size == _MAP, is_key
                if is_map and is_key:
                    raise ValueNotKeptError(_WRONG_KEY)
                left, at = (first & 15, at + 1) if first < 0xA0 else _length(data, at)
                if is_map:
                    left *= 2
            else:
                if is_key and size == _EXTENSION:
                    _check_key(data, at)
                at = _CHECKS[size](data, at)
        yield


def _run(data: bytes, at: int, *, is_map: bool, depth: int) -> int:
    """The end of a run of `RUN` common elements that begins at `at`; 0 if there is none."""
    kinds = SCALARS if is_map or depth == MAX_DEPTH else ELEMENTS
    found = kinds.match(data, at)
    return found.end() if found is not None else 0


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The length of the element at `at`, and where its content begins."""
    start = at + 1 + _LENGTHS[data[at]]
    if start > len(data):
        raise IndexError
    return int.from_bytes(data[at + 1 : start], "big"), start


def _check_float(data: bytes, at: int) -> int:
    form = _FLOATS[data[at]]
    end = at + 1 + form.size
    if end > len(data):
        raise IndexError
    if not isfinite(form.unpack_from(data, at + 1)[0]):
        raise ValueNotKeptError("a number is not finite")
    return end


def _check_text(data: bytes, at: int) -> int:
    first = data[at]
    size, start = (first & 31, at + 1) if first < 0xC0 else _length(data, at)
    try:
        data[start : start + size].decode()
    except UnicodeDecodeError as error:
        raise ValueNotKeptError(f"a text is not UTF-8: {error.reason}") from None
    return start + size


def _check_binary(data: bytes, at: int) -> int:
    size, start = _length(data, at)
    return start + size


def _extension(data: bytes, at: int) -> tuple[int, int]:
    """The size of an extension's content, and the position of its type."""
    size = _FIXED_EXTENSIONS.get(data[at])
    return (size, at + 1) if size is not None else _length(data, at)


def _check_extension(data: bytes, at: int) -> int:
    size, start = _extension(data, at)
    if data[start] in TARANTOOL_EXTENSIONS:
        raise ValueNotKeptError(f"extension type {data[start]} is one of Tarantool's own")
    return start + 1 + size


def _check_key(data: bytes, at: int) -> None:
    """Check an extension that is part of a map key."""
    _, start = _extension(data, at)
    if data[start] != TIMESTAMP:
        raise ValueNotKeptError(_WRONG_KEY)


def _check_nothing(*_: object) -> int:
    raise ValueNotKeptError("no value begins with the byte c1")


_CHECKS: dict[int, Callable[[bytes, int], int]] = {
    _FLOAT: _check_float,
    _TEXT: _check_text,
    _BINARY: _check_binary,
    _EXTENSION: _check_extension,
    _NOTHING: _check_nothing,
}
