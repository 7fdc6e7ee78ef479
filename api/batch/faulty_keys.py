"""Finds the key of a value that is nested too deep for any decoder, so that the refusal can name it.

The decoders of `api.batch.decode` give such a body up as a whole. Here the members of a write's data are read one
after the other, by parsers that know where one ends; that is slower, and for bodies that are refused anyway.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined] # documented in the module itself only

import msgspec
from msgpack import Unpacker, UnpackException
from msgpack.exceptions import StackError

from api.batch.values import MAX_DEPTH, deeper_than

MAX_BYTES = 1024 * 1024
"""Larger bodies are not looked through: 16 MiB of empty arrays would hold up all other requests for seconds."""

_SPACE = r"[ \t\r\n]*"
_DATA = re.compile(rf'{_SPACE}{{{_SPACE}"data"{_SPACE}:{_SPACE}{{{_SPACE}"')
_COLON = re.compile(rf"{_SPACE}:{_SPACE}")
_COMMA = re.compile(rf'{_SPACE},{_SPACE}"')

_value_json = json.JSONDecoder().raw_decode
_value_msgpack = msgspec.msgpack.Decoder().decode


def too_deep_in_json(body: bytes) -> str | None:
    """The first key of a write whose value is nested too deep; None if none is found before something else is wrong."""
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
            if deeper_than((value,), MAX_DEPTH):
                return key
            opening = _COMMA.match(text, end)
    except ValueError:
        pass
    return None


def too_deep_in_msgpack(body: bytes) -> str | None:
    """The same for MessagePack."""
    if len(body) > MAX_BYTES:
        return None
    unpacker = Unpacker(max_buffer_size=len(body))
    unpacker.feed(body)
    try:
        if unpacker.read_map_header() != 1 or unpacker.unpack() != "data":
            return None
        for _ in range(unpacker.read_map_header()):
            key = unpacker.unpack()
            start = unpacker.tell()
            try:
                unpacker.skip()
                value = _value_msgpack(memoryview(body)[start : unpacker.tell()])
            except (StackError, RecursionError):
                return str(key)
            if deeper_than((value,), MAX_DEPTH):
                return str(key)
    except (ValueError, UnpackException, msgspec.MsgspecError):
        pass
    return None
