"""uvicorn's HTTP protocol, writing each answer to its socket once.

uvicorn writes the head and the body of an answer apart, and uvloop makes a system call of each. The second call
is one of three that the api makes for a request of one key, and wakes the client twice.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CoalescingTransport:
    """A transport that keeps what is written until the end of the event loop's turn, and then writes it at once."""

    __slots__ = ("_call_soon", "_pieces", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._pieces: list[bytes | bytearray] = []

    def write(self, data: bytes | bytearray) -> None:
        """Write `data` with everything else of this turn."""
        if not self._pieces:
            self._call_soon(self.flush)
        self._pieces.append(data)

    def write_alone(self, data: bytes) -> None:
        """Write `data`, of which it is known that nothing follows it."""
        if self._pieces:
            self._pieces.append(data)
        else:
            self._transport.write(data)

    def flush_past(self, pieces: int) -> None:
        """Write what was kept where that is so many pieces or more."""
        if len(self._pieces) >= pieces:
            self.flush()

    def flush(self) -> None:
        """Write what was kept."""
        pieces = self._pieces
        if pieces:
            self._pieces = []
            self._transport.writelines(pieces)

    def close(self) -> None:
        """Close the transport after what was kept."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class CoalescingProtocol(HttpToolsProtocol):
    """uvicorn's protocol over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to serve a connection."""
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport, self.loop)))
