"""A sender in front of a Redis in memory, which breaks connections and refuses commands if a test asks for it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from api.queue import sender as sender_module
from api.queue.outgoing import Outgoing
from api.queue.pending import Caller, Pending, PendingChunks
from api.queue.sender import Sender
from protocol.frames import Frame, decode_frame
from protocol.redis_wire import Command
from tests.unit.queue_fakes import REDIS, Connections, Counts, chunk, pending_of


class Redis:
    """Takes every command: gives entries ids, and says whether the alive key exists. `broken` says what XADD does."""

    def __init__(self) -> None:
        self.appended: list[Frame] = []
        self.alive = True
        self.on_append: Callable[[], Any] = lambda: None

    def __call__(self, command: Command) -> Any:
        if command[0] == "XADD":
            failure = self.on_append()
            if failure is not None:
                return failure
            data = command[-1]
            assert isinstance(data, bytes)
            self.appended.append(decode_frame(data))
            return b"%d-0" % len(self.appended)
        if command[0] == "SET":
            self.alive = True
        return int(self.alive) if command[0] == "EXPIRE" else b"OK"


class OtherLane:
    """Another lane that works; counts how often it was given waiting chunks."""

    def __init__(self) -> None:
        self.took_over = 0

    def take_over(self) -> None:
        self.took_over += 1

    def can_take_over(self) -> bool:
        return True


class Sending:
    """A sender, and the connections that it makes."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *answers: Callable[[Command], Any], others: OtherLane | None = None
    ) -> None:
        self.counts = Counts()
        self.chunks = PendingChunks(self.counts, self.counts)
        self.outgoing = Outgoing(("s1", "s2"), self.chunks)
        self.sessions: list[bool] = []
        self.sender = Sender(REDIS, "p", self.chunks, self.outgoing, self.counts, self.sessions.append, others=others)
        self.connections = Connections(*answers)
        monkeypatch.setattr(sender_module, "AsyncWire", self.connections)
        monkeypatch.setattr(sender_module, "FIRST_WAIT_S", 0.000001)
        monkeypatch.setattr(sender_module, "LAST_WAIT_S", 0.000002)

    @property
    def ran(self) -> Sequence[Command]:
        return [command for wire in self.connections.wires for command in wire.ran]

    def add(self, number: int, **about: Any) -> Pending:
        shard = about.pop("shard", "s1")
        caller = about.pop("caller", Caller())
        pending = pending_of(chunk(number, **about), shard=shard, caller=caller)
        self.chunks.add(pending)
        self.sender.add((pending,))
        return pending

    def run(self, scenario: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a scenario while the sender runs."""

        async def both() -> None:
            task = asyncio.create_task(self.sender.run())
            try:
                await scenario()
                assert not task.done(), task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(both())
