"""Chunks that wait in an api process, and a scripted connection, for the tests of the queue's parts."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from api.queue.pending import NOBODY, Caller, Gathering, Pending, PendingChunks
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.redis_wire import Command
from protocol.settings import RedisSettings

SERVER = "a" * 40
REDIS = RedisSettings(redis_url="redis://localhost", redis_password="x")


class Counts:
    """Stands in for admission and observer: records what is counted."""

    def __init__(self) -> None:
        self.released: list[tuple[str, int, str | None, bool]] = []
        self.seen: Counter[tuple[str, int]] = Counter()
        self.sent_again = 0

    def release(self, shard: str, size: int, user: str | None = None, *, worked: bool = True) -> None:
        self.released.append((shard, size, user, worked))

    def took(self, shard: str, seconds: float) -> None:
        """Count nothing."""

    def stage(self, stage: str, seconds: float) -> None:
        """Count nothing."""

    def outcomes(self, shard: str, status: int, chunks: int) -> None:
        self.seen[shard, status] += chunks

    def resent(self, chunks: int) -> None:
        self.sent_again += chunks


class Wire:
    """A connection to Redis: `answer` makes the reply to each command. Records the commands."""

    server = SERVER

    def __init__(self, answer: Callable[[Command], Any]) -> None:
        self.ran: list[Command] = []
        self.closed = False
        self._answer = answer

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        self.ran += commands
        replies = [self._answer(command) for command in commands]
        for reply in replies:
            if isinstance(reply, OSError):
                raise reply
        return replies

    def close(self) -> None:
        self.closed = True


class Connections:
    """The connections that a part makes: each answers as the next of `answers` says, all further ones as the last."""

    def __init__(self, *answers: Callable[[Command], Any]) -> None:
        self.wires: list[Wire] = []
        self._answers = list(answers)

    def __call__(self, *_: object, **__: object) -> Wire:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.wires.append(Wire(answer))
        return self.wires[-1]


def refuse(_: Command) -> Any:
    return ConnectionRefusedError("refused")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)


def chunk(number: int, *, operation: int = Operation.WRITE, in_ms: int = 5000, keys: int = 1, size: int = 4) -> Chunk:
    return Chunk(bytes([number]) * 16, operation, now_ms() + in_ms, 0, keys, b"x" * size)


def pending_of(
    chunk: Chunk, *, shard: str = "s1", ends: float = float("inf"), caller: Caller = NOBODY, sends: int = 0
) -> Pending:
    """A chunk that is the only one of its request."""
    made = Pending(shard, chunk, Gathering(1, lambda _: None, caller, ends), 0)
    made.sends = sends
    return made


def outcome_of(settled: Pending) -> Outcome | None:
    (outcome,) = settled.gathering.outcomes
    return outcome


def status_of(settled: Pending) -> int | None:
    outcome = outcome_of(settled)
    return outcome.status if outcome is not None else None


def status_at_the_end(chunks: PendingChunks, pending: Pending) -> int | None:
    """The outcome at the deadline, if none came before."""
    chunks.give_up(pending, "no answer before the deadline")
    return status_of(pending)


def settle(chunks: PendingChunks, pending: Pending, status: int = Status.OK, payload: object = None) -> None:
    chunks.settle([Outcome(pending.chunk.id, status, payload)])
