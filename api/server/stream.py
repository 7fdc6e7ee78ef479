"""An answer that comes in pieces, sent as fast as its client reads it and no faster."""

from __future__ import annotations

import asyncio

LAST_CHUNK = b"0\r\n\r\n"


def chunk_of(piece: bytes) -> list[bytes]:
    """A piece as a chunk (RFC 9112, section 7.1)."""
    return [b"%x\r\n" % len(piece), piece, b"\r\n"]


class Stream:
    """The task that sends an answer in pieces, as its connection sees it."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._room: asyncio.Future[None] | None = None

    async def room(self) -> None:
        """Wait until the client has read what was sent. The connection's own timeout ends the wait of one that stops
        reading.
        """
        self._room = asyncio.get_running_loop().create_future()
        await self._room

    def go_on(self) -> None:
        """The client has read what was sent."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def end(self) -> None:
        """The client has gone: what is sent to it, and all work for it, ends at once."""
        if self._task is not None:
            self._task.cancel()
