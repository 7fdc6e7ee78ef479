"""A large batch is sent to its shards in turns, so that chunks of other requests are sent between them."""

import asyncio
import os
from collections.abc import Sequence

import pytest

from api.queue.dispatcher import TOO_LATE, Dispatcher
from api.queue.pending import Caller, Pending
from api.queue.turns import TURN_BYTES, TURNS_AT_ONCE, turns_of
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings
from tests.unit.queue_fakes import REDIS, Counts

HALF = TURN_BYTES // 2
CALLER = Caller("alice")


def part(shard: str, size: int, left_ms: int = 5_000) -> tuple[str, Chunk]:
    return shard, Chunk(os.urandom(16), Operation.WRITE, now_ms() + left_ms, 0, 1, bytes(size))


class Sending:
    """A dispatcher whose sender only records chunks."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher(REDIS, BatchSettings(), ("s1", "s2"), Counts())
        self.sent: list[Pending] = []
        self.dispatcher.lanes.all[0].sender.add = self.sent.extend  # type: ignore[assignment, method-assign]

    def answer(self) -> list[bytes]:
        """Report success for all chunks that were sent; returns them."""
        sent, self.sent[:] = [pending.chunk.id for pending in self.sent], []
        self.dispatcher._pending.settle([Outcome(chunk_id, Status.OK, b"") for chunk_id in sent])
        return sent

    def under_way(self) -> int:
        return sum(self.dispatcher.admission.held(shard)[1] for shard in ("s1", "s2"))


async def begun(sending: Sending, parts: Sequence[tuple[str, Chunk]]) -> "asyncio.Task[Sequence[Outcome]]":
    task = asyncio.ensure_future(sending.dispatcher.dispatch(parts, CALLER))
    await steps()
    return task


async def steps() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


def test_turns_are_bounded_in_bytes_and_keep_the_order_of_each_shard() -> None:
    sizes = [("s1", HALF), ("s2", 10), ("s1", HALF), ("s1", 1), ("s2", 10), ("s1", 3 * TURN_BYTES), ("s1", 1)]
    assert turns_of([part(*each) for each in sizes]) == {"s1": [[0, 2], [3], [5], [6]], "s2": [[1, 4]]}


def test_a_shard_gets_the_next_turn_when_it_has_answered_the_previous_one() -> None:
    async def test() -> None:
        sending = Sending()
        parts = [part("s1", TURN_BYTES) for _ in range(5)] + [part("s2", 1)]
        ids = [chunk.id for _, chunk in parts]
        task = await begun(sending, parts)
        small = await begun(sending, [part("s1", 1)])
        first = sending.answer()
        assert sorted(first[:3]) == sorted([ids[0], ids[1], ids[5]])
        assert len(first) == 4, "the small batch waited for a turn"
        await steps()
        assert small.done()
        assert sending.answer() == ids[2:4]
        await steps()
        assert sending.answer() == ids[4:5]
        outcomes = await task
        assert [outcome.id for outcome in outcomes] == ids
        assert sending.under_way() == 0

    asyncio.run(test())


def test_after_half_of_its_time_a_batch_sends_all_remaining_chunks() -> None:
    async def test() -> None:
        sending = Sending()
        parts = [part("s1", TURN_BYTES, left_ms=2_000) for _ in range(9)]
        task = await begun(sending, parts)
        while now_ms() <= parts[0][1].deadline_ms - 500:  # noqa: ASYNC110 - a clock has no event
            await asyncio.sleep(0.005)
        assert len(sending.answer()) == TURNS_AT_ONCE
        await steps()
        assert len(sending.answer()) == len(parts) - TURNS_AT_ONCE
        assert {outcome.status for outcome in await task} == {Status.OK}
        assert sending.under_way() == 0

    asyncio.run(test())


def test_chunks_without_a_turn_at_the_deadline_are_reported_as_never_sent() -> None:
    async def test() -> None:
        sending = Sending()
        parts = [part("s1", TURN_BYTES, left_ms=300) for _ in range(4)]
        task = await begun(sending, parts)
        while now_ms() <= parts[0][1].deadline_ms + 20:  # noqa: ASYNC110 - a clock has no event
            await asyncio.sleep(0.005)
        sending.answer()
        outcomes = await task
        assert [outcome.status for outcome in outcomes] == [Status.OK] * 2 + [Status.EXPIRED] * 2
        assert outcomes[-1].payload == TOO_LATE
        assert sending.sent == []
        assert sending.under_way() == 0

    asyncio.run(test())


@pytest.mark.parametrize("ends", ["cancelled", "stopped"])
def test_chunks_without_a_turn_at_the_end_of_the_process_are_released(ends: str) -> None:
    async def test() -> None:
        sending = Sending()
        task = await begun(sending, [part("s1", TURN_BYTES) for _ in range(4)])
        if ends == "cancelled":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            sending.answer()
        else:
            sending.dispatcher._stopping = True
            sending.answer()
            outcomes = await task
            assert [outcome.status for outcome in outcomes] == [Status.OK] * 2 + [Status.UNREACHABLE] * 2
        assert sending.under_way() == 0
        assert sending.sent == []

    asyncio.run(test())
