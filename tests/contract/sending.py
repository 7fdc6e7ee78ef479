"""The ways of sending a request: an answer must not depend on how a request was cut on its way.

httpx writes head and body apart. Whether a server reads them together is chance, so these ways make it certain.
"""

import time
from collections.abc import Iterable
from enum import Enum
from typing import Any

import httpcore
import httpx

from tests.contract.unread import unread_bytes

READ_WITHIN_S = 20.0
ELSEWHERE_PAUSE_S = 0.003
"""Wait this long if the api is on another machine: the test cannot see what it has read there."""


class Sending(Enum):
    """How requests are sent."""

    BY_CHANCE = "by chance"
    """In the way of httpx."""

    WHOLE = "whole"
    """Head and body in one write."""

    IN_PIECES = "in pieces"
    """Each piece only after the server has read the previous one: a body after its head."""


class Transport(httpx.HTTPTransport):
    """The transport of an httpx client, over one connection that is not encrypted."""

    def __init__(self, sending: Sending, keepalive_expiry: float) -> None:
        limits = httpx.Limits(max_connections=1, keepalive_expiry=keepalive_expiry)
        # Loading the system's certificates takes longer than a whole test.
        super().__init__(verify=False, trust_env=False, limits=limits)
        if sending is not Sending.BY_CHANCE:
            self._pool = httpcore.ConnectionPool(
                max_connections=1, keepalive_expiry=keepalive_expiry, network_backend=_Backend(sending)
            )


class _Backend(httpcore.SyncBackend):
    def __init__(self, sending: Sending) -> None:
        self._stream = _Whole if sending is Sending.WHOLE else _InPieces

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return self._stream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Whole(_Stream):
    """Keeps what is written until an answer is read."""

    _kept = b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - it does not wait
        self._kept += buffer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        kept, self._kept = self._kept, b""
        self._stream.write(kept, timeout)
        return super().read(max_bytes, timeout)


class _InPieces(_Stream):
    """Writes when everything before has been read."""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            wait_until_read(self.get_extra_info("socket"))
            self._stream.write(buffer, timeout)


def wait_until_read(connection: Any) -> None:
    """Return when the other end of a socket has read what was sent."""
    end = time.monotonic() + READ_WITHIN_S
    while unread := unread_bytes(connection):
        assert time.monotonic() < end, "the api does not read"
        time.sleep(0)
    if unread is None:
        time.sleep(ELSEWHERE_PAUSE_S)
