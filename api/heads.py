"""Heads of requests that are to be refused: what a refusal needs to know of one, and where its body ends.

A head is read with the server's own parser. Under overload the same clients send the same heads again and again, so
what was found is kept for a while.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import httptools

from api.routes import route_of

MAX_KEPT = 1024
MAX_KEPT_BYTES = 2048
"""Of a head. Longer ones, and those with an id of their own, are read anew each time."""

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
    """Takes what the parser tells of one head."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.url = b""
        self.whole = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        self.whole = True


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
        head = _read(raw)
        if len(raw) <= MAX_KEPT_BYTES and (head is None or head.given_id is None):
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[raw] = head
        return head


def _read(raw: bytes) -> Head | None:
    reader = _Reader()
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    headers = reader.headers
    simple = (
        reader.whole
        and parser.get_http_version() == "1.1"
        and parser.should_keep_alive()
        and not parser.should_upgrade()
        and b"transfer-encoding" not in headers
        and b"expect" not in headers
    )
    if not simple:
        return None
    return Head(
        len(raw),
        int(headers.get(b"content-length", b"0")),
        route_of(reader.url.decode("latin-1")),
        headers.get(b"authorization"),
        headers.get(b"x-request-id"),
    )
