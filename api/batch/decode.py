"""Decodes the bodies of reads, deletes and touches, which name keys, in JSON or MessagePack.

`api.batch.write_body` and `api.batch.counters` decode bodies with data; `api.batch.limits` limits the number of keys.
"""

from __future__ import annotations

from typing import Any

import msgspec

from api.batch.bodies import Beside, DeleteBody, ReadBody, TouchBody, beside
from api.batch.counted_names import Name, name_counter
from api.batch.refused_body import empty_body, refuse
from api.batch.steps import AT_ONCE
from api.http.negotiation import Format
from api.http.problems import Kind
from protocol.settings import BatchSettings

KeysBody = type[ReadBody[Any]] | type[DeleteBody[Any]] | type[TouchBody[Any]]

_coders: dict[Format, Any] = {Format.JSON: msgspec.json.Decoder, Format.MSGPACK: msgspec.msgpack.Decoder}
_small: dict[tuple[KeysBody, Format], Any] = {
    (kind, body_format): coder(kind[str]).decode
    for body_format, coder in _coders.items()
    for kind in (ReadBody, DeleteBody, TouchBody)
}


def decode_keys(
    body: bytes, body_format: Format, limits: BatchSettings, kind: KeysBody = ReadBody
) -> tuple[list[str], Beside]:
    """The keys that a body of some kind names, each once, in order; and the other members.

    Raises:
        Problem: 400, the body is malformed or does not have the expected form.
    """
    if not body:
        raise empty_body()
    if len(body) <= AT_ONCE:
        decode = _small[kind, body_format]
    else:
        counted = kind[Name]  # type: ignore[index] # as above
        decode = _coders[body_format](counted, dec_hook=name_counter("keys", limits)).decode
    try:
        request = decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        refuse(error, body_format, Kind.INVALID_REQUEST)
    return list(dict.fromkeys(request.keys)), beside(request)
