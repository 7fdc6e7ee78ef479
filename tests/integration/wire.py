"""HTTP/1.1 as bytes over a socket. A test decides which bytes the api reads together."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.contract.sending import wait_until_read

TIMEOUT_S = 20.0


def request(
    path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST", version: str = "1.1"
) -> bytes:
    """A request with a Content-Length, unless `headers` has a Transfer-Encoding."""
    every = {"Host": "x", "Content-Length": str(len(body)), **(headers or {})}
    if "Transfer-Encoding" in every:
        del every["Content-Length"]
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in every.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunks(body: bytes, size: int) -> bytes:
    """A body in chunks of `size` bytes, as `Transfer-Encoding: chunked` has it."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """An answer as it was received."""

    status_line: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def status(self) -> int:
        """The status."""
        return int(self.status_line.split()[1])

    def header(self, name: bytes) -> bytes | None:
        """The value of the only header with this name; None if there is none."""
        values = [value for known, value in self.headers if known == name]
        assert len(values) <= 1, self.headers
        return values[0] if values else None

    def timeless(self) -> "Answer":
        """The answer with a fixed date and request id, which differ between answers."""
        made = self.header(b"x-request-id") or b""
        id_length = len(self.body) - len(self.body.replace(made, b"")) if made else 0
        fixed = {b"date": b"now", b"x-request-id": b"id"}
        length = b"%d" % (len(self.body) - id_length)
        headers = tuple(
            (name, length if name == b"content-length" and id_length else fixed.get(name, value))
            for name, value in self.headers
        )
        assert self.header(b"content-length") == b"%d" % len(self.body)
        return Answer(self.status_line, headers, self.body.replace(made, b"") if made else self.body)


class Wire:
    """One connection of a client."""

    def __init__(self, base_url: str) -> None:
        address = urlsplit(base_url)
        self.socket = socket.create_connection((address.hostname, address.port), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        """Send each piece when the previous one has been read."""
        for number, piece in enumerate(pieces):
            if number:
                self.wait_until_read()
            self.socket.sendall(piece)

    def wait_until_read(self) -> None:
        """Return when the api has read what was sent."""
        wait_until_read(self.socket)

    def answer(self, *, has_body: bool = True) -> Answer:
        """Read one answer."""
        head = self._until(re.compile(rb"\r\n\r\n"))
        status_line, *lines = head[:-4].split(b"\r\n")
        headers = tuple((name, value) for name, _, value in (line.partition(b": ") for line in lines))
        length = int(dict(headers).get(b"content-length", b"0")) if has_body else 0
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return Answer(status_line, headers, body)

    def ask(self, *pieces: bytes) -> Answer:
        """Send a request and read its answer."""
        self.send(*pieces)
        return self.answer()

    def is_closed(self) -> bool:
        """Whether the api closes the connection without sending more; fails if it neither closes nor sends."""
        if self._received:
            return False
        try:
            self._received = self.socket.recv(65536)
        except ConnectionError:
            return True
        return not self._received

    def reset(self) -> None:
        """End the connection as if the client had crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def _until(self, end: re.Pattern[bytes]) -> bytes:
        while (found := end.search(self._received)) is None:
            self._receive()
        taken, self._received = self._received[: found.end()], self._received[found.end() :]
        return taken

    def _receive(self) -> None:
        piece = self.socket.recv(1 << 20)
        assert piece, self._received[:500]
        self._received += piece
