"""Answers: what an endpoint returns, and how it is encoded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias

import msgspec
import orjson

from api.http.negotiation import Format
from api.overload.memory_budgets import AnswerShare

MEDIA_TYPES = {Format.JSON: b"application/json", Format.MSGPACK: b"application/msgpack"}

COMMON = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
"""The headers of every answer, except its date and its request id."""

_COMMON_BUT_CACHING = COMMON[1:]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

CLIENT_CLOSED = 499
"""Counted for a client that disconnected before its answer; nginx uses the same number."""

NOT_MODIFIED = 304

LARGE_BODY = 64 * 1024
"""A body of this size or more is not copied behind its head: the kernel may not take it at once."""

Written: TypeAlias = bytes | bytearray
"""What is written to a connection. The encoder makes large answers as a bytearray; a copy as bytes would cost time."""

_pack = msgspec.msgpack.Encoder().encode


class Answer(NamedTuple):
    """An answer. `share` is its part of the memory for answers, released when it is sent.

    If there are `pieces`, its body is not known yet and comes from them, one by one as the client reads. Its sender
    closes them, however the answer ends.
    """

    status: int
    media_type: bytes
    body: Written
    headers: tuple[tuple[bytes, bytes], ...] = ()
    share: AnswerShare | None = None
    pieces: AsyncGenerator[bytes, None] | None = None


def document(content: Mapping[str, Any], accept: Format, status: int = 200) -> Answer:
    """An answer with a small document."""
    body = orjson.dumps(content) if accept is Format.JSON else _pack(content)
    return Answer(status, MEDIA_TYPES[accept], body)


def names_caching(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether headers say how long their answer may be kept."""
    return any(name == b"cache-control" for name, _ in headers)


def common(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of `COMMON` that an answer with these headers gets."""
    return _COMMON_BUT_CACHING if names_caching(headers) else COMMON


class Renderer:
    """Encodes answers. The beginnings that many of them share are kept until the date changes."""

    def __init__(self) -> None:
        self.date = b""
        """The date of all answers, in the form of a header."""
        self._beginnings: dict[tuple[int, bytes, bool], bytes] = {}

    def set_date(self, unix_s: float) -> None:
        """Set the date of all answers from now on."""
        date = formatdate(unix_s, usegmt=True).encode("ascii")
        if date != self.date:
            self.date = date
            self._beginnings.clear()

    def render(self, answer: Answer, request_id: bytes, *, close: bool, without_body: bool = False) -> list[Written]:
        """The pieces of an answer, to be written in this order."""
        if answer.status == NOT_MODIFIED:
            # Its length would be that of the answer that the client has already (RFC 9110, section 8.6).
            return [self.render_head(answer, request_id, close=close, chunked=False)]
        begin = None if answer.headers else self._beginnings.get((answer.status, answer.media_type, False))
        if begin is None:
            begin = self._begin(answer)
        body = answer.body
        end = b"connection: close\r\n\r\n" if close else b"\r\n"
        head = b"%bcontent-length: %d\r\nx-request-id: %b\r\n%b" % (begin, len(body), request_id, end)
        if without_body:
            return [head]
        return [head, body] if len(body) > LARGE_BODY else [head + body]

    def render_head(self, answer: Answer, request_id: bytes, *, close: bool, chunked: bool) -> bytes:
        """The head of an answer whose length is unknown: its body comes in chunks, or until the connection ends."""
        coding = b"transfer-encoding: chunked\r\n" if chunked else b""
        end = b"connection: close\r\n\r\n" if close else b"\r\n"
        return b"%b%bx-request-id: %b\r\n%b" % (self._begin(answer), coding, request_id, end)

    def _begin(self, answer: Answer) -> bytes:
        """The beginning of an answer, up to its length."""
        headers = answer.headers
        kind = answer.status, answer.media_type, bool(headers) and names_caching(headers)
        begin = self._beginnings.get(kind)
        if begin is None:
            phrase = HTTPStatus(answer.status).phrase.encode("ascii")
            lines = _lines(((b"date", self.date), *common(headers), (b"content-type", answer.media_type)))
            begin = self._beginnings[kind] = b"HTTP/1.1 %d %b\r\n%b" % (answer.status, phrase, lines)
        return begin + _lines(headers) if headers else begin


def _lines(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])
