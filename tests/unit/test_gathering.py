"""How many chunks a busy sender gathers before it sends them."""

import asyncio

import pytest

from api.queue import sender as sender_module
from tests.unit.queue_fakes import until
from tests.unit.sender_fakes import Redis, Sending


def test_the_sender_ends_gathering_with_as_many_chunks_as_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Redis()
    sending = Sending(monkeypatch, server)
    monkeypatch.setattr(sender_module, "GATHER_S", 60.0)

    async def scenario() -> None:
        for number in range(20):
            sending.add(number)
        await until(lambda: bool(server.appended))
        for number in range(20, 100):
            sending.add(number)
            await asyncio.sleep(0)
            if len(server.appended) == 2:
                break
        assert 20 <= len(server.appended[1].chunks) <= 25, "and those that came in the turn that it took to send them"

    sending.run(scenario)


def test_few_chunks_under_way_do_not_make_the_frames_small(monkeypatch: pytest.MonkeyPatch) -> None:
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
