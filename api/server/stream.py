"""Sends an answer in pieces, as fast as its client reads and no faster."""

from __future__ import annotations

import asyncio

LAST_CHUNK = b"0\r\n\r\n"


def chunk_of(piece: bytes) -> list[bytes]:
    """Encode a piece as a chunk (RFC 9112, section 7.1)."""
    return [b"%x\r\n" % len(piece), piece, b"\r\n"]


class Stream:
    """The task that sends an answer in pieces, as its connection sees it."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._room: asyncio.Future[None] | None = None

    async def room(self) -> None:
        """Wait until the client has read what was sent. If the client stops reading, the connection's own timeout ends
        this wait.
        """
        self._room = asyncio.get_running_loop().create_future()
        await self._room

    def go_on(self) -> None:
        """The client has read what was sent."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def end(self) -> None:
        """The client has disconnected: sending to it and working for it end at once."""
        if self._task is not None:
            self._task.cancel()
