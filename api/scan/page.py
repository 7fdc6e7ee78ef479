"""Makes the answer of `/api/scan`: one page, in JSON or in MessagePack. A large one is made in steps."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import orjson

from api.batch.steps import Steps
from api.http.negotiation import Format
from api.http.response import MEDIA_TYPES, Answer
from api.scan.items import groups, json_members, msgpack_members
from api.scan.selection import Selection
from protocol.chunks import array_header, map_header
from protocol.scans import Item

_pack = msgspec.msgpack.Encoder().encode


def page(items: Sequence[Item], selection: Selection, cursor: str | None, accept: Format) -> Steps[Answer]:
    """The page with some items; `cursor` is where the next page begins, None if this is the last.

    Raises:
        Problem: 406, JSON cannot express a value.
    """
    make = _json if accept is Format.JSON else _msgpack
    body = yield from make(items, selection, cursor)
    return Answer(200, MEDIA_TYPES[accept], body)


def _json(items: Sequence[Item], selection: Selection, cursor: str | None) -> Steps[bytearray]:
    body = bytearray(b'{"items":[')
    done = 0
    for group in groups(items):
        body += json_members(group, selection, done)
        body += b","
        done += len(group)
        yield
    if done:
        del body[-1]
    body += b"],"
    if cursor is not None:
        body += b'"cursor":' + orjson.dumps(cursor) + b","
    body += b'"complete":false}' if cursor is not None else b'"complete":true}'
    return body


def _msgpack(items: Sequence[Item], selection: Selection, cursor: str | None) -> Steps[bytearray]:
    body = bytearray(map_header(2 if cursor is None else 3) + _pack("items") + array_header(len(items)))
    for group in groups(items):
        body += msgpack_members(group, selection)
        yield
    if cursor is not None:
        body += _pack("cursor") + _pack(cursor)
    body += _pack("complete") + _pack(cursor is None)
    return body
