"""Heads of requests that are to be refused: what a refusal needs to know of one, and where its body ends.

A head is read with the server's own parser. Under overload the same clients send the same heads again and again, so
what was found is kept, until there is too much of it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import httptools

from api.http.routes import route_of

MAX_KEPT = 1024
MAX_KEPT_BYTES = 2048
"""Of a head. Longer ones, and those with something that no other request has, are read anew each time."""

_MAX_LENGTH_DIGITS = 20
_OF_ONE_REQUEST = frozenset((b"x-request-id", b"traceparent", b"idempotency-key"))

_POST = b"POST /api/"
_END = b"\r\n\r\n"


class Head(NamedTuple):
    """What is known of a whole head. `size` and `body` in bytes: of itself and of the body behind it."""

    size: int
    body: int
    route: str
    token: bytes | None
    given_id: bytes | None


class _Reader:
    """Takes what the parser tells of one head, and asks it what it has to be asked before the message ends."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.url = b""
        self.simple = False
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        parser, headers = self.parser, self.headers
        self.simple = (
            parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and b"transfer-encoding" not in headers
            and b"expect" not in headers
            # The parser takes any number of leading zeros, `int` does not.
            and len(headers.get(b"content-length", b"")) <= _MAX_LENGTH_DIGITS
        )


class Heads:
    """Reads over heads, and keeps those that may come again."""

    def __init__(self) -> None:
        self._kept: Final[dict[bytes, Head | None]] = {}

    def of(self, data: bytes) -> Head | None:
        """The head with which `data` begins.

        None, if it is not there whole, is none of a `POST` below `/api/`, or not as simple as nearly all are: of
        HTTP/1.1, with a length or without a body, on a connection that stays open.
        """
        if not data.startswith(_POST) or (end := data.find(_END)) < 0:
            return None
        raw = data[: end + len(_END)]
        if raw in self._kept:
            return self._kept[raw]
        reader = _read(raw)
        head = _head(reader, len(raw))
        if len(raw) <= MAX_KEPT_BYTES and _OF_ONE_REQUEST.isdisjoint(reader.headers):
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[raw] = head
        return head

    def __len__(self) -> int:
        return len(self._kept)


def _read(raw: bytes) -> _Reader:
    reader = _Reader()
    try:
        reader.parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        reader.simple = False
    # They hold each other: nobody would free them until the collector comes.
    del reader.parser
    return reader


def _head(reader: _Reader, size: int) -> Head | None:
    headers = reader.headers
    if not reader.simple:
        return None
    return Head(
        size,
        int(headers.get(b"content-length", b"0")),
        route_of(reader.url.decode("latin-1")),
        headers.get(b"authorization"),
        headers.get(b"x-request-id"),
    )
