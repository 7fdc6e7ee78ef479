"""Requests as bytes on a new connection, as no client library would send them."""

import socket
import ssl
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tests.interop.conftest import Front

TIMEOUT_S = 10


class RawAnswer(NamedTuple):
    """An answer, or the part of it that arrived before the connection ended."""

    status: int
    body: bytes


class RawConnection:
    """A connection to the api or a proxy, inside a `with` block."""

    def __init__(self, front: Front) -> None:
        target = urlsplit(front.base_url)
        assert target.hostname is not None
        plain = socket.create_connection((target.hostname, target.port or 443), timeout=TIMEOUT_S)
        if target.scheme == "https":
            context = ssl.create_default_context(cafile=str(front.certificate.chain))
            self._socket: socket.socket = context.wrap_socket(plain, server_hostname=target.hostname)
        else:
            self._socket = plain
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def answer(self) -> RawAnswer:
        """Read one answer with a `Content-Length`, or all bytes until the connection ends."""
        head = self._until(b"\r\n\r\n")
        if not head.endswith(b"\r\n\r\n"):
            return RawAnswer(0, head)
        status = int(head.split(b" ", 2)[1])
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if not lengths:
            return RawAnswer(status, self._rest())
        length = int(lengths[0].partition(b":")[2])
        while len(self._received) < length and self._more():
            pass
        body, self._received = self._received[:length], self._received[length:]
        return RawAnswer(status, body)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received and self._more():
            pass
        head, found, self._received = self._received.partition(mark)
        return head + found

    def _rest(self) -> bytes:
        while self._more():
            pass
        return self._received

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            return False
        self._received += data
        return bool(data)


def request(target: str, *lines: str, method: str = "POST", body: bytes = b"", host: str = "kv.example.org") -> bytes:
    """A request with a `Host` and these header lines; nothing is added to them."""
    head = [f"{method} {target} HTTP/1.1", f"Host: {host}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body
