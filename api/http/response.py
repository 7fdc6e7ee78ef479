"""Answers: what an endpoint returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import orjson

from api.http.negotiation import Format
from api.overload.memory_budgets import AnswerBudget

MEDIA_TYPES = {Format.JSON: b"application/json", Format.MSGPACK: b"application/msgpack"}

_pack = msgspec.msgpack.Encoder().encode


class Answer(NamedTuple):
    """A finished answer. `share` is what it holds of the memory for answers, given back when it is sent."""

    status: int
    media_type: bytes
    body: bytes | bytearray
    headers: tuple[tuple[bytes, bytes], ...] = ()
    share: AnswerBudget.Share | None = None


def document(content: Mapping[str, Any], accept: Format) -> Answer:
    """An answer of 200 with a small document."""
    body = orjson.dumps(content) if accept is Format.JSON else _pack(content)
    return Answer(200, MEDIA_TYPES[accept], body)
