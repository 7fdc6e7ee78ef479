"""Answers in pieces under unmodified uvicorn."""

import asyncio

import pytest

from api.overload.memory_budgets import AnswerBudget
from tests.unit.memory_server import turns
from tests.unit.streams import PIECE, Streamer
from tests.unit.test_plain_asgi import FIELDS, LIMITS, Parts, served

SEND_TIMEOUT_S = 0.3


class StreamingParts(Parts):
    """An application around a stream."""

    def __init__(self) -> None:
        self.streamer = Streamer(LIMITS)
        self.answers = AnswerBudget(1 << 20)
        self.streamer.start(self.answers)
        super().__init__(self.streamer, SEND_TIMEOUT_S)


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_a_stream_is_complete_and_its_work_ends_when_the_client_disconnects(parser: str) -> None:
    async def scenario() -> None:
        parts = StreamingParts()
        async with served(parts, parser) as client:
            whole = await client.get("/api/write", headers=FIELDS)
            assert whole.status_code == 200
            assert whole.headers["transfer-encoding"] == "chunked"
            assert whole.headers["x-more"] == "1"
            assert whole.content == 3 * PIECE
            assert (await client.head("/api/write", headers=FIELDS)).status_code == 405

            parts.streamer.start(parts.answers)
            parts.streamer.pieces = None
            async with client.stream("GET", "/api/write", headers=FIELDS) as begun:
                await anext(begun.aiter_raw())
                parts.streamer.may_go_on.clear()
                await turns(10)
            # Nothing more can be sent, so only the end of the connection can end the work.
            await asyncio.wait_for(parts.streamer.ended.wait(), 20)
        assert parts.answers.held == 0

    asyncio.run(asyncio.wait_for(scenario(), 50))


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_the_bytes_sent_to_a_client_that_stops_reading_are_bounded(parser: str) -> None:
    async def scenario() -> None:
        parts = StreamingParts()
        async with served(parts, parser) as client:
            parts.streamer.pieces = None
            host, port = client.base_url.host, client.base_url.port
            _, writer = await asyncio.open_connection(host, port, limit=1024)
            writer.write(b"GET /api/write HTTP/1.1\r\nHost: x\r\nAuthorization: alice\r\n\r\n")
            await asyncio.wait_for(parts.streamer.ended.wait(), 20)
            # No more than the buffers of two sockets hold; the kernel decides their size.
            assert parts.streamer.made * len(PIECE) < 32 * 1024 * 1024
            assert parts.answers.held == 0
            writer.close()

    asyncio.run(asyncio.wait_for(scenario(), 50))
