"""Bodies in chunks (RFC 9112, section 7.1). Those of requests are decoded as they arrive; their extensions and trailers
are checked and dropped.
"""

from __future__ import annotations

import re

from api.http.head import malformed

MAX_SIZE_LINE_BYTES = 256
"""The limit of a chunk's size line, with its extensions."""

MAX_TRAILER_BYTES = 8 * 1024

LINES_AT_ONCE = 1000
"""After so many lines the event loop gets a turn: a body of the smallest chunks has millions of lines."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_SIZE_BEGINNING = re.compile(rb"[0-9A-Fa-f]{0,15}(?:[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?)?\r?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_TRAILER_BEGINNING = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\r?")


LAST_CHUNK = b"0\r\n\r\n"


def chunk_of(piece: bytes) -> list[bytes]:
    """Encode a piece of an answer."""
    return [b"%x\r\n" % len(piece), piece, b"\r\n"]


class ChunkedBody:
    """Decodes one body. Trailer fields are dropped: they must never pass for header fields."""

    __slots__ = ("_expects", "_left", "_trailer_bytes", "complete", "interrupted")

    def __init__(self) -> None:
        self.complete = False
        self.interrupted = False
        """Whether the last call stopped to give the event loop a turn: more bytes can be decoded already."""
        self._left = 0
        """Bytes of the current chunk that have not arrived yet."""
        self._expects = ChunkedBody._size
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
            end = data.find(b"\r\n", at)
            if end < 0:
                self._expects(self, data[at:], unfinished=True)
                break
            if lines == LINES_AT_ONCE:
                self.interrupted = True
                break
            lines += 1
            self._expects(self, data[at:end])
            at = end + 2
        return at

    def _size(self, line: bytes, *, unfinished: bool = False) -> None:
        found = (_SIZE_BEGINNING if unfinished else _SIZE).fullmatch(line)
        if found is None or len(line) > MAX_SIZE_LINE_BYTES + unfinished:
            raise malformed("the size of a chunk is not valid")
        if not unfinished:
            self._left = int(found[1], 16)
            self._expects = ChunkedBody._chunk_end if self._left else ChunkedBody._trailer

    def _chunk_end(self, line: bytes, *, unfinished: bool = False) -> None:
        if line and not (unfinished and line == b"\r"):
            raise malformed("a chunk is longer than its size")
        if not unfinished:
            self._expects = ChunkedBody._size

    def _trailer(self, line: bytes, *, unfinished: bool = False) -> None:
        if not line and not unfinished:
            self.complete = True
            return
        size = self._trailer_bytes + len(line)
        form = _TRAILER_BEGINNING if unfinished else _TRAILER
        if size > MAX_TRAILER_BYTES + unfinished or form.fullmatch(line) is None:
            raise malformed("the trailers of the body are not valid")
        if not unfinished:
            self._trailer_bytes = size
