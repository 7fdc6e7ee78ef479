"""Sends an answer in pieces through an ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from litestar.types import Receive, Send

from api.http.response import Answer


async def stream_answer(receive: Receive, send: Send, answer: Answer, send_timeout_s: float) -> None:
    """Send the pieces of an answer, each when the server has room for it; stop when the client disconnects.

    If a client reads nothing for `send_timeout_s`, nothing more is sent to it, and it gets no end of the answer.
    """
    pieces = answer.pieces
    if pieces is None:
        raise ValueError("the answer does not come in pieces")
    writing = asyncio.create_task(_write(send, answer, pieces, send_timeout_s), name="asgi.stream")
    # A server reports only by a message that the client has disconnected: what is sent then is dropped without an
    # error.
    gone = asyncio.create_task(_gone(receive), name="asgi.gone")
    try:
        await asyncio.wait((writing, gone), return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()
    finally:
        for task in (writing, gone):
            task.cancel()
        await asyncio.gather(writing, gone, return_exceptions=True)
        await pieces.aclose()
        if answer.share is not None:
            answer.share.release()


async def _write(send: Send, answer: Answer, pieces: AsyncGenerator[bytes, None], timeout_s: float) -> None:
    headers = [(b"content-type", answer.media_type), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for piece in pieces:
        async with asyncio.timeout(timeout_s):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
