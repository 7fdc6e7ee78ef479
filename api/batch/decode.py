"""The bodies of reads and deletes, in JSON or MessagePack; `api.batch.write_body` reads those of writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from api.batch.counted_names import CountedKeys, name_counter
from api.batch.refused_body import empty_body, refuse
from api.batch.steps import AT_ONCE
from api.http.negotiation import Format
from api.http.problems import Kind
from protocol.settings import BatchSettings


class KeysRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a read or a delete."""

    keys: list[str]


T = TypeVar("T", KeysRequest, CountedKeys)

_keys = {
    Format.JSON: msgspec.json.Decoder(KeysRequest).decode,
    Format.MSGPACK: msgspec.msgpack.Decoder(KeysRequest).decode,
}


def _decode(decode: Callable[[bytes], T], body: bytes, body_format: Format) -> T:
    if not body:
        raise empty_body()
    try:
        return decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        refuse(error, body_format, Kind.INVALID_REQUEST)


def decode_keys(body: bytes, body_format: Format, limits: BatchSettings) -> list[str]:
    """The keys of a read or a delete, each once, in order.

    Raises:
        Problem: 400, the body is malformed or not of the form expected.
    """
    if len(body) <= AT_ONCE:
        return list(dict.fromkeys(_decode(_keys[body_format], body, body_format).keys))
    decoder = msgspec.json.Decoder if body_format is Format.JSON else msgspec.msgpack.Decoder
    decode = decoder(CountedKeys, dec_hook=name_counter("keys", limits)).decode
    names: list[Any] = _decode(decode, body, body_format).keys
    return list(dict.fromkeys(names))
