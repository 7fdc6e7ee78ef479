"""How shards are asked for pieces of scans: one question to a shard at a time, after the pause that it names, and other
shards first.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from api.overload.errors import overloaded
from api.queue.chunk_ids import ChunkIds
from api.queue.pending import NOBODY, Caller
from api.scan import shards as asking
from api.scan.shards import Failure, ScanShards
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.scans import Asked, Piece, State

ASKED = Asked(None, True, None, True, False, 10, True, 1000, 1, 10)


def payload(state: State, wait_us: int = 0) -> bytes:
    position = "k" if state == State.MORE else None
    return msgspec.msgpack.encode([state, wait_us, [[1, 10]], position, [["k", 1, 5, 7]] if state != 2 else []])


class FakeDispatcher:
    """Gives the answers of its list in turn, and then always the last one."""

    def __init__(self, *answers: bytes | Status | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[float, str, Chunk]] = []
        self.ids = ChunkIds(("s1", "s2"))
        self.waiting = 0
        self.at_once = self.most_at_once = 0

    async def dispatch(self, parts: list[tuple[str, Chunk]], _: Caller) -> list[Outcome]:
        ((shard, chunk),) = parts
        self.sent.append((asyncio.get_running_loop().time(), shard, chunk))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.005)
        self.at_once -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Status):
            return [Outcome(chunk.id, answer, "why")]
        return [Outcome(chunk.id, Status.OK, answer)]

    @property
    def times(self) -> list[float]:
        return [time for time, _, _ in self.sent]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


async def ask(shards: ScanShards, shard: str = "s1", for_s: float = 5.0) -> Piece | Failure:
    until = asyncio.get_running_loop().time() + for_s
    answer = await shards.ask(shard, ASKED, NOBODY, until)
    return answer if isinstance(answer, Failure) else answer[0]


def test_a_shard_has_one_question_at_a_time_and_does_not_delay_other_shards() -> None:
    async def scenario() -> None:
        dispatcher = FakeDispatcher(payload(State.MORE))
        shards = ScanShards(dispatcher)
        await asyncio.gather(*(ask(shards) for _ in range(4)))
        assert dispatcher.most_at_once == 1
        await asyncio.gather(ask(shards), ask(shards, "s2"))
        assert dispatcher.most_at_once == 2
        assert {chunk.operation for _, _, chunk in dispatcher.sent} == {Operation.SCAN}

    run(scenario)


def test_a_shard_is_not_asked_before_the_time_that_it_named() -> None:
    async def scenario() -> None:
        dispatcher = FakeDispatcher(payload(State.MORE, 40_000))
        shards = ScanShards(dispatcher)
        for _ in range(3):
            await ask(shards)
        first, second, third = dispatcher.times
        assert second - first >= 0.04
        assert third - second >= 0.04

    run(scenario)


def test_a_shard_without_time_for_scans_is_asked_again_until_the_deadline() -> None:
    async def scenario() -> None:
        dispatcher = FakeDispatcher(payload(State.NOT_NOW, 10_000), payload(State.NOT_NOW, 10_000), payload(State.DONE))
        piece = await ask(ScanShards(dispatcher))
        assert isinstance(piece, Piece)
        assert piece.state == State.DONE
        assert len(dispatcher.sent) == 3

        never = FakeDispatcher(payload(State.NOT_NOW, 10_000))
        failure = await ask(ScanShards(never), for_s=0.1)
        assert isinstance(failure, Failure)
        assert failure.status == Status.TOO_MANY
        assert 1 < len(never.sent) < 12

    run(scenario)


def test_a_question_that_is_not_admitted_is_repeated_with_back_off_until_the_deadline() -> None:
    async def scenario() -> None:
        dispatcher = FakeDispatcher(overloaded("full"), overloaded("full"), payload(State.DONE))
        assert isinstance(await ask(ScanShards(dispatcher)), Piece)
        first, second, third = dispatcher.times
        assert second - first >= asking.RETRY_S
        assert third - second >= 2 * asking.RETRY_S

        full = FakeDispatcher(overloaded("full"))
        failure = await ask(ScanShards(full), for_s=0.15)
        assert isinstance(failure, Failure)
        assert "full" in failure.text
        assert len(full.sent) <= 5

    run(scenario)


@pytest.mark.parametrize("answer", [Status.UNREACHABLE, Status.NO_MEMORY, b"\xc1"])
def test_a_malformed_answer_fails_the_scan_at_once(answer: Status | bytes) -> None:
    async def scenario() -> None:
        dispatcher = FakeDispatcher(answer)
        shards = ScanShards(dispatcher)
        failure = await ask(shards)
        assert isinstance(failure, Failure)
        assert failure.status == (answer if isinstance(answer, Status) else Status.REFUSED)
        assert len(dispatcher.sent) == 1
        dispatcher.answers = [payload(State.DONE)]
        assert isinstance(await ask(shards), Piece), "the turn was released"

    run(scenario)


def test_long_work_that_waits_too_long_for_its_turn_is_refused() -> None:
    async def scenario() -> None:
        dispatcher = FakeDispatcher(payload(State.MORE, 500_000))
        shards = ScanShards(dispatcher)
        await ask(shards)
        holding = asyncio.ensure_future(ask(shards))
        await asyncio.sleep(0.01)
        failure = await ask(shards, for_s=0.05)
        assert isinstance(failure, Failure)
        assert failure.status == Status.TOO_MANY
        holding.cancel()

    run(scenario)


def test_scans_pause_between_questions_while_the_process_has_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "REST_S", 0.05)

    async def scenario() -> None:
        alone = FakeDispatcher(payload(State.MORE))
        shards = ScanShards(alone)
        for _ in range(4):
            await ask(shards)
        assert alone.times[-1] - alone.times[0] < 0.1
        alone.waiting = 1
        shards = ScanShards(alone)
        alone.sent.clear()
        for _ in range(3):
            await ask(shards)
        # Each piece has one key, whichever shard gave it.
        assert alone.times[1] - alone.times[0] >= 0.05
        assert alone.times[2] - alone.times[1] >= 0.05

    run(scenario)
