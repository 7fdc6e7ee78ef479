"""A busy sender gathers chunks before it sends them."""

import asyncio

import pytest

from api.queue import sender as sender_module
from tests.unit.queue_fakes import until
from tests.unit.sender_fakes import Redis, Sending


def test_chunks_that_come_turn_after_turn_go_into_one_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Redis()
    sending = Sending(monkeypatch, server)
    monkeypatch.setattr(sender_module, "GATHER_S", 60.0)

    async def scenario() -> None:
        sending.add(0)
        await until(lambda: bool(server.appended))
        for number in range(1, 5):
            sending.add(number)
            await asyncio.sleep(0)
        await until(lambda: len(server.appended) == 2)
        assert len(server.appended[1].chunks) == 4

    sending.run(scenario)
