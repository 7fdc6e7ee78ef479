"""Bodies in chunks (RFC 9112, section 7.1). Those of requests are decoded as they arrive; their extensions and trailers
are checked and dropped.
"""

from __future__ import annotations

import re

from api.http.head import CRLF, malformed

MAX_LINE_BYTES = 8 * 1024
"""The limit of one line, and of all trailers together."""

MAX_SIZE_LINE_BYTES = 256
"""The limit of a chunk's size line, with its extensions."""

LINES_AT_ONCE = 1000
"""After so many lines the event loop gets a turn: a body of the smallest chunks has millions of lines."""

LAST_CHUNK = b"0\r\n\r\n"

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


def chunk_of(piece: bytes) -> list[bytes]:
    """Encode a piece of an answer."""
    return [b"%x\r\n" % len(piece), piece, b"\r\n"]


class ChunkedBody:
    """Decodes one body. Trailer fields are dropped: they must never pass for header fields."""

    def __init__(self) -> None:
        self.complete = False
        self.interrupted = False
        """Whether the last call stopped to give the event loop a turn: more bytes can be decoded already."""
        self._left = 0
        """Bytes of the current chunk that have not arrived yet."""
        # Not bound methods: an object that refers to itself is freed late.
        self._take_line = ChunkedBody._size
        self._trailer_bytes = 0

    def feed(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Decode `data` from `at` on, and append the bytes of the body to `pieces`; returns where decoding stopped.

        It stops at the end of the body, or if it needs more data.

        Raises:
            Problem: 400, the body is not a valid sequence of chunks.
        """
        lines = 0
        self.interrupted = False
        while not self.complete:
            if self._left:
                piece = data[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            most = at + MAX_LINE_BYTES + len(CRLF)
            end = data.find(CRLF, at, most)
            if end < 0:
                if len(data) >= most:
                    raise malformed("a line of the chunked body is too long")
                break
            self.interrupted = lines == LINES_AT_ONCE
            if self.interrupted:
                break
            lines += 1
            self._take_line(self, data[at:end])
            at = end + len(CRLF)
        return at

    def _size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None or len(line) > MAX_SIZE_LINE_BYTES:
            raise malformed("the size of a chunk is not valid")
        self._left = int(found[1], 16)
        self._take_line = ChunkedBody._chunk_end if self._left else ChunkedBody._trailer

    def _chunk_end(self, line: bytes) -> None:
        if line:
            raise malformed("a chunk is longer than its size")
        self._take_line = ChunkedBody._size

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.complete = True
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_LINE_BYTES or _TRAILER.fullmatch(line) is None:
            raise malformed("the trailers of the body are not valid")
