"""The waits of all connections of a process."""

import asyncio
from math import inf

import pytest

from api.http.response import Renderer
from api.server.connections import Connections
from protocol.settings import HttpSettings


class Late:
    """A connection whose wait is over."""

    def __init__(self, error: Exception | None = None) -> None:
        self.phase_ends, self.stall_ends = 0.0, inf
        self.error = error
        self.ended = 0

    def end_wait(self, now: float) -> None:
        assert now > self.phase_ends
        self.ended += 1
        if self.error is not None:
            raise self.error
        self.phase_ends = inf

    def make_room(self) -> None:
        raise AssertionError("there is room")


def test_a_connection_that_cannot_be_closed_does_not_keep_others_open(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        connections = Connections(HttpSettings(), 10, Renderer())
        late = [Late(RuntimeError("broken") if number % 2 else None) for number in range(6)]
        for each in late:
            assert connections.add(each)
        for _ in range(2):
            connections._tick()
        # The broken ones are tried again later, but not four times a second.
        assert [each.ended for each in late] == [1] * 6

    asyncio.run(scenario())
    assert len(caplog.records) == 3
