"""Bodies in chunks (RFC 9112, section 7.1): decoded as they come, their extensions and trailers checked and dropped."""

from __future__ import annotations

import re

from api.http.head import malformed

MAX_SIZE_LINE_BYTES = 256
"""Of a chunk's size with its extensions."""

MAX_TRAILER_BYTES = 8 * 1024

LINES_AT_ONCE = 1000
"""After so many lines the event loop gets a turn: a body of the smallest chunks has millions."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_SIZE_BEGINNING = re.compile(rb"[0-9A-Fa-f]{0,15}(?:[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?)?\r?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_TRAILER_BEGINNING = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\r?")


class ChunkedBody:
    """Decodes one body. Trailer fields are never header fields: nothing here hands them on."""

    __slots__ = ("_expects", "_left", "_trailer_bytes", "complete", "interrupted")

    def __init__(self) -> None:
        self.complete = False
        self.interrupted = False
        """Whether the last call stopped to let others have a turn: there is more to decode already."""
        self._left = 0
        """Bytes of the chunk that are still to come."""
        self._expects = ChunkedBody._size
        self._trailer_bytes = 0

    def feed(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Decode `data` from `at` on, append what it holds of the body to `pieces`; returns where it stopped.

        It stops at the end of the body, or where more is needed.

        Raises:
            Problem: 400, this is no body in chunks.
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
