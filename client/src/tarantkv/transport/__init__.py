"""How requests reach the server. A transport can be replaced by any object with these methods.

The synchronous client uses `tarantkv.transport.plain`, which is made of sockets and starts in a fifth of the time. If
the environment names a proxy, and in the asynchronous client, the transport is httpx2
(`tarantkv.transport.with_httpx`).
"""

from __future__ import annotations

from typing import Protocol

from tarantkv.effects import Stream
from tarantkv.wire import Request, Response


class Transport(Protocol):
    """Sends requests, from several threads at a time. Every method but `close` raises `TransportError`."""

    def send(self, request: Request) -> Response:
        """Return the complete answer."""

    def open(self, request: Request) -> Stream:
        """Return the head of an answer whose body is read in pieces."""

    def read(self, stream: Stream, timeout: float) -> bytes:
        """Return the next piece, b"" at the end."""

    def shut(self, stream: Stream) -> None:
        """End an answer."""

    def close(self) -> None:
        """Close all connections."""


class AsyncTransport(Protocol):
    """The same for asyncio."""

    async def send(self, request: Request) -> Response:
        """Return the complete answer."""

    async def open(self, request: Request) -> Stream:
        """Return the head of an answer whose body is read in pieces."""

    async def read(self, stream: Stream, timeout: float) -> bytes:  # noqa: ASYNC109 - part of what is asked for
        """Return the next piece, b"" at the end."""

    async def shut(self, stream: Stream) -> None:
        """End an answer."""

    async def close(self) -> None:
        """Close all connections."""
