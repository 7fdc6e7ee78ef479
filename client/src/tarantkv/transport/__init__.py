"""How requests reach the server. A transport is exchangeable: whatever has these methods will do.

The synchronous client uses `tarantkv.transport.plain`, made of sockets: it starts in a
fifth of the time.
Where the environment names a proxy, and in the asynchronous client, it is httpx2 (`tarantkv.transport.with_httpx`).
"""

from __future__ import annotations

from typing import Protocol

from tarantkv.effects import Stream
from tarantkv.wire import Request, Response


class Transport(Protocol):
    """Sends requests, from several threads at a time. Every method but `close` raises `TransportError`."""

    def send(self, request: Request) -> Response:
        """The answer, whole."""

    def open(self, request: Request) -> Stream:
        """The head of an answer whose body comes in pieces."""

    def read(self, stream: Stream, timeout: float) -> bytes:
        """The next piece, b"" at the end."""

    def shut(self, stream: Stream) -> None:
        """Be done with an answer."""

    def close(self) -> None:
        """Close all connections."""


class AsyncTransport(Protocol):
    """The same for asyncio."""

    async def send(self, request: Request) -> Response:
        """The answer, whole."""

    async def open(self, request: Request) -> Stream:
        """The head of an answer whose body comes in pieces."""

    async def read(self, stream: Stream, timeout: float) -> bytes:  # noqa: ASYNC109 - part of what is asked for
        """The next piece, b"" at the end."""

    async def shut(self, stream: Stream) -> None:
        """Be done with an answer."""

    async def close(self) -> None:
        """Close all connections."""
