"""Encodes items for clients: members of a page in JSON or MessagePack, and lines of an export.

A line is exact. A value that JSON cannot express byte for byte, such as `bin`, an extension, or a number in an unusual
form of MessagePack, is in the member `value_msgpack`: its MessagePack in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import msgspec
import orjson

from api.batch.msgpack_values import finite_decoder, plain_decoder
from api.batch.steps import STEP_BYTES
from api.http.problems import Kind, at
from api.scan.selection import Selection
from protocol.chunks import array_header
from protocol.scans import Item
from protocol.versions import version_text

# orjson would encode dates, dataclasses and subclasses in its own way; stored values must not change.
_STRICT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
_LINE = _STRICT | orjson.OPT_APPEND_NEWLINE

STEP_ITEMS = 100
"""Items that one step encodes at most: keys can be longer than their values."""

_pack = msgspec.msgpack.Encoder().encode
_REFUSED = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)


def groups(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in groups, each of which is encoded in one step."""
    first = size = 0
    for position, item in enumerate(items):
        size += memoryview(item.value).nbytes
        if size >= STEP_BYTES or position - first + 1 >= STEP_ITEMS:
            yield items[first : position + 1]
            first, size = position + 1, 0
    if first < len(items):
        yield items[first:]


def beside(item: Item, selection: Selection) -> dict[str, Any]:
    """The members of an item besides its value."""
    members: dict[str, Any] = {}
    if selection.version:
        members["version"] = version_text(item.version)
    if selection.expires_at and item.expires_ms is not None:
        members["expires_at"] = item.expires_ms / 1000
    return members


def json_members(items: Sequence[Item], selection: Selection, first: int) -> bytes:
    """Elements of a JSON array, without its brackets; `first` is the position of the first one.

    Raises:
        Problem: 406, JSON cannot express a value.
    """
    if not selection.values:
        documents = [{"key": item.key, **beside(item, selection)} for item in items]
        return orjson.dumps(documents)[1:-1]
    try:
        values = plain_decoder.decode(_joined(items))
    except _REFUSED:
        values = [_value(item, first + position) for position, item in enumerate(items)]
    documents = [
        {"key": item.key, "value": value, **beside(item, selection)} for item, value in zip(items, values, strict=True)
    ]
    return orjson.dumps(documents, option=_STRICT)[1:-1]


def msgpack_members(items: Sequence[Item], selection: Selection) -> bytes:
    """The same in MessagePack, with every value as the stored bytes."""
    if not selection.values:
        return b"".join(_pack({"key": item.key, **beside(item, selection)}) for item in items)
    return b"".join(_pack({"key": item.key, "value": item.value, **beside(item, selection)}) for item in items)


def lines(items: Sequence[Item], selection: Selection) -> bytes:
    """Lines of an export."""
    if not selection.values:
        return b"".join(_line({"key": item.key, **beside(item, selection)}) for item in items)
    values = _plain(items)
    if values is None:
        return b"".join(_line({"key": item.key, **_lossless(item), **beside(item, selection)}) for item in items)
    return b"".join(
        _line({"key": item.key, "value": value, **beside(item, selection)})
        for item, value in zip(items, values, strict=True)
    )


def _joined(items: Sequence[Item]) -> bytes:
    return array_header(len(items)) + b"".join(item.value for item in items)


def _plain(items: Sequence[Item]) -> list[Any] | None:
    """The values, if JSON can return all of them byte for byte."""
    joined = _joined(items)
    try:
        values = finite_decoder.decode(joined)
        return values if _pack(values) == joined else None
    except _REFUSED:
        return None


def _line(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=_LINE)


def _decoded(encoded: bytes) -> Any:
    """A value of any depth. The decoder refuses map keys that are neither texts nor bytes before it makes objects of
    them.
    """
    return msgpack.unpackb(encoded, strict_map_key=True)


def _value(item: Item, position: int) -> Any:
    try:
        value = _decoded(bytes(item.value))
        orjson.dumps(value, option=_STRICT)
    except _REFUSED:
        detail = f"JSON cannot express the value of key {item.key!r}; ask with 'Accept: application/msgpack'"
        raise at(Kind.NOT_ACCEPTABLE, detail, "items", position, "value") from None
    return value


def _lossless(item: Item) -> dict[str, Any]:
    """The member of a line that contains the value."""
    encoded = bytes(item.value)
    try:
        value = _decoded(encoded)
        if _pack(orjson.loads(orjson.dumps(value, option=_STRICT))) == encoded:
            return {"value": value}
    except _REFUSED:
        pass
    return {"value_msgpack": base64.b64encode(encoded).decode()}
