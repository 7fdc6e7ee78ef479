"""HTTP/1.1 over a socket, as far as a client of this api needs it: one request at a time, no upgrades, no trailers.

`http.client` does the same, but importing it takes a third of the time that `tarantkv get` has. Bytes that are not
HTTP, or could be read in two ways, are an error and end the connection.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping

from tarantkv.wire import Request

MAX_HEAD_BYTES = 64 * 1024
_MAX_SIZE_LINE = 256
_PIECE_BYTES = 256 * 1024

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n\0]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)")
_TARGET = re.compile(r"/[!-~]*")
_VALUE = re.compile(r"(?! )[ -~\x80-\xff]*(?<! )")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_TO_THE_END = -1


class HttpError(Exception):
    """The received bytes are not HTTP, or incomplete."""


class Connection:
    """A connection. `end` is when a call of any of its methods must have ended, on the monotonic clock."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._rest = b""
        self._left = 0
        self._chunked = False
        self._reusable = True

    @property
    def is_free(self) -> bool:
        """Whether the last answer was read completely, so that another request may follow."""
        return self._reusable and not self._left and not self._chunked and not self._rest

    def send(self, head: bytes, content: bytes, end: float) -> None:
        """Send a request.

        Raises:
            OSError: the connection broke.
        """
        self._limit(end)
        if len(content) <= MAX_HEAD_BYTES:
            self.sock.sendall(head + content)
            return
        self.sock.sendall(head)
        body = memoryview(content)
        while body:
            self._limit(end)
            body = body[self.sock.send(body[:_PIECE_BYTES]) :]

    def head(self, end: float) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer.

        Raises:
            HttpError, OSError: they did not arrive.
        """
        while True:
            status, version, headers = self._one_head(end)
            if status >= 200:
                break
        self._reusable = "close" not in headers.get("connection", "").lower() and (
            version == 1 or "keep-alive" in headers.get("connection", "").lower()
        )
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        self._chunked = coding is not None
        self._left = 0
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise HttpError("the answer's length can be read in two ways")
        elif status in (204, 304):
            pass
        elif length is None:
            self._left, self._reusable = _TO_THE_END, False
        elif not length.isascii() or not length.isdecimal() or len(length) > 15:
            raise HttpError("the answer's length is no number")
        else:
            self._left = int(length)
        return status, headers

    def piece(self, end: float) -> bytes:
        """Some bytes of the answer's body; none at its end.

        Raises:
            HttpError, OSError: it did not arrive completely.
        """
        if self._chunked and not self._left:
            self._left = self._chunk_size(end)
            if not self._left:
                self._trailers(end)
                self._chunked = False
                return b""
        if not self._left:
            return b""
        data = self._rest or self._received(end)
        if not data:
            if self._left != _TO_THE_END:
                raise HttpError("the answer broke off")
            self._left = 0
            return b""
        if self._left == _TO_THE_END:
            self._rest = b""
            return data
        piece, self._rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        if self._chunked and not self._left and self._line(end) != b"":
            raise HttpError("a chunk of the answer has no end")
        return piece

    def close(self) -> None:
        """Close it."""
        self._reusable = False
        self.sock.close()

    def _one_head(self, end: float) -> tuple[int, int, dict[str, str]]:
        found = _STATUS.fullmatch(self._line(end, MAX_HEAD_BYTES))
        if found is None:
            raise HttpError("what answers is no HTTP server")
        headers: dict[str, str] = {}
        size = 0
        while line := self._line(end, MAX_HEAD_BYTES):
            size += len(line)
            field = _FIELD.fullmatch(line)
            if field is None or size > MAX_HEAD_BYTES:
                raise HttpError("the answer's head is not valid")
            name, value = field[1].decode().lower(), field[2].strip(b" \t").decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return int(found[2]), int(found[1]), headers

    def _chunk_size(self, end: float) -> int:
        found = _SIZE.fullmatch(self._line(end))
        if found is None:
            raise HttpError("a chunk of the answer has no size")
        return int(found[1], 16)

    def _trailers(self, end: float) -> None:
        size = 0
        while line := self._line(end, MAX_HEAD_BYTES):
            size += len(line)
            if size > MAX_HEAD_BYTES:
                raise HttpError("the answer's trailers are too long")

    def _line(self, end: float, most: int = _MAX_SIZE_LINE) -> bytes:
        while b"\n" not in self._rest:
            if len(self._rest) > most:
                raise HttpError("a line of the answer is too long")
            data = self._received(end)
            if not data:
                raise HttpError("the server closed the connection")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.removesuffix(b"\r")

    def _received(self, end: float) -> bytes:
        self._limit(end)
        return self.sock.recv(_PIECE_BYTES)

    def _limit(self, end: float) -> None:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self.sock.settimeout(left)


def is_field(name: str, value: str) -> bool:
    """Whether a header field is one that can be sent."""
    return _FIELD.fullmatch(f"{name}:".encode()) is not None and _VALUE.fullmatch(value) is not None


def head_of(request: Request, target: str, host: str) -> bytes:
    """The head of a request.

    Raises:
        ValueError: a part of it could be read as another part.
    """
    if _TARGET.fullmatch(target) is None:
        raise ValueError(f"{target!r} is no path")
    fields: Mapping[str, str] = {"host": host, **request.headers}
    for name, value in fields.items():
        if not is_field(name, value):
            raise ValueError(f"the header {name} cannot be sent")
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if request.method != "GET":
        lines.append(f"content-length: {len(request.body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1")
