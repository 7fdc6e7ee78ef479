"""To which lane chunks go if their lane fails, and when the api notices a silent lane."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from api.overload.shard_limits import Admission
from api.queue import lane_watch
from api.queue.chunk_ids import ChunkIds
from api.queue.lane_choice import order
from api.queue.lane_watch import SUSPECT_S, LaneWatch
from api.queue.lanes import Lanes
from api.queue.pending import Pending, PendingChunks
from protocol.frames import Outcome
from protocol.operations import Operation, Status
from protocol.settings import RedisSettings
from tests.unit.queue_fakes import Counts, chunk, pending_of, settle, status_at_the_end, until

REDIS = RedisSettings(redis_url="redis://a,redis://b", redis_password="x")
NAMES = [lane.address.name for lane in REDIS.lanes]
SHARDS = tuple(f"s{number}" for number in range(1, 9))
AT_A, AT_B = (next(shard for shard in SHARDS if order(shard, NAMES)[0] == lane) for lane in (0, 1))


class Parts:
    """Lanes whose senders and readers do not run."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.chunks = PendingChunks(self.counts, self.counts)
        self.lanes = Lanes(REDIS, "p", SHARDS, self.chunks, self.counts)
        self.admission = Admission(SHARDS, max_chunks=100, max_bytes=10**6, max_wait_s=0.5)
        self.watch = LaneWatch(self.lanes, self.chunks, self.admission, ChunkIds(SHARDS))

    def add(self, number: int, shard: str = AT_A, operation: int = Operation.WRITE) -> Pending:
        pending = pending_of(chunk(number, operation=operation), shard=shard)
        self.chunks.add(pending)
        self.lanes.add((pending,))
        return pending

    def send(self, lane: int) -> list[Pending]:
        """Let a lane append its waiting chunks; Redis gives every entry the same id."""
        sent = []
        for frame, chunks in self.lanes.all[lane].outgoing.frames():
            frame.entry_id = b"1-0"
            for pending in chunks:
                pending.sends += 1
                sent.append(pending)
        return sent

    async def asked(self) -> None:
        """Wait until every question has its answer."""
        await asyncio.gather(*self.watch._asking.values())

    def connect(self, lane: int) -> None:
        for part in (self.lanes.all[lane].sender, self.lanes.all[lane].reader):
            part.connected = True
        self.lanes._began(lane)


def run(scenario: Callable[[Parts], Coroutine[None, None, None]]) -> None:
    async def within() -> None:
        await scenario(Parts())

    asyncio.run(within())


def test_each_shard_goes_to_its_home() -> None:
    async def scenario(parts: Parts) -> None:
        a, b = parts.add(1, AT_A), parts.add(2, AT_B)
        assert (parts.send(0), parts.send(1)) == ([a], [b])

    run(scenario)


def test_all_chunks_of_a_failed_lane_go_to_the_other_one_even_if_they_were_sent() -> None:
    async def scenario(parts: Parts) -> None:
        sent = parts.add(1)
        parts.send(0)
        queued = parts.add(2)
        elsewhere = parts.add(3, AT_B)
        parts.lanes.broke(0)
        assert len(parts.lanes.all[0].outgoing) == 0
        assert set(map(id, parts.send(1))) == set(map(id, [elsewhere, sent, queued]))
        assert [sent.sends, queued.sends, elsewhere.sends] == [2, 1, 1]
        assert parts.counts.sent_again == 1
        # The copy on the failed lane is deleted as soon as that lane can be reached.
        assert parts.lanes.all[0].outgoing.take_deletions() == {f"kv:{AT_A}": [b"1-0"]}

    run(scenario)


def test_a_refusal_of_the_second_copy_is_not_final() -> None:
    async def scenario(parts: Parts) -> None:
        pending = parts.add(1)
        parts.send(0)
        parts.lanes.broke(0)
        parts.send(1)
        settle(parts.chunks, pending, Status.REFUSED)
        assert status_at_the_end(parts.chunks, pending) == Status.UNKNOWN

    run(scenario)


def test_outcomes_come_back_on_the_lane_on_which_chunks_were_sent() -> None:
    async def scenario(parts: Parts) -> None:
        parts.lanes.broke(0)
        pending = parts.add(1)
        parts.send(1)
        parts.connect(0)
        parts.lanes.choice.prove(AT_A, 0)
        parts.lanes.choice.settle(float("inf"))
        assert parts.lanes.choice.of(AT_A) == 0
        assert parts.send(0) == []
        assert pending.sends == 1
        parts.lanes.broke(1)
        assert parts.send(0) == [pending]

    run(scenario)


def test_if_all_lanes_have_failed_the_first_that_returns_gets_all_chunks() -> None:
    async def scenario(parts: Parts) -> None:
        first = parts.add(1, AT_A)
        parts.lanes.broke(0)
        parts.lanes.broke(1)
        second = parts.add(2, AT_B)
        parts.connect(0)
        assert {id(pending) for pending in parts.send(0)} == {id(first), id(second)}

    run(scenario)


def test_a_refused_frame_of_one_lane_is_not_mistaken_for_a_frame_of_another() -> None:
    async def scenario(parts: Parts) -> None:
        pending = parts.add(1)
        parts.send(0)
        parts.lanes.broke(0)
        parts.send(1)
        parts.lanes.all[0].sender._send_again(AT_A, b"1-0", "another cluster")
        assert pending.sends == 2
        parts.lanes.all[1].sender._send_again(AT_A, b"1-0", "another cluster")
        assert pending.sends == 1

    run(scenario)


def test_failed_logins_are_counted_on_another_lane_while_the_first_does_not_work() -> None:
    async def scenario(parts: Parts) -> None:
        first, second = parts.lanes.for_logins()
        home = NAMES.index(first.address.name)
        parts.lanes.broke(home)
        assert parts.lanes.for_logins() == [second, first]
        parts.connect(home)
        assert parts.lanes.for_logins() == [first, second]

    run(scenario)


def answer(parts: Parts, lane: int, status: Status = Status.OK) -> bool:
    """Answer the questions that wait on a lane; returns whether there were any."""
    asked = [each for each in parts.send(lane) if each.chunk.operation == Operation.DESCRIBE]
    for pending in asked:
        parts.lanes.all[lane]._settle([Outcome(pending.chunk.id, status, b"")])
    return bool(asked)


@pytest.mark.parametrize("status", [Status.OK, Status.UNREACHABLE])
def test_a_shard_leaves_a_silent_lane_if_it_answers_through_another(status: Status) -> None:
    async def scenario(parts: Parts) -> None:
        pending = parts.add(1)
        parts.send(0)
        began = pending.gathering.began
        parts.watch.look(began + SUSPECT_S - 0.01)
        await asyncio.sleep(0)
        assert not answer(parts, 1)
        parts.watch.look(began + SUSPECT_S + 0.01)
        await until(lambda: answer(parts, 1, status))
        await parts.asked()
        moved = status == Status.OK
        assert parts.lanes.choice.of(AT_A) == (1 if moved else 0)
        assert parts.send(1) == ([pending] if moved else [])

    run(scenario)


def test_a_shard_keeps_a_lane_that_still_carries_its_answers() -> None:
    async def scenario(parts: Parts) -> None:
        slow, quick = parts.add(1), parts.add(2)
        parts.send(0)
        parts.watch.look(slow.gathering.began + SUSPECT_S + 0.01)
        await asyncio.sleep(0)
        parts.lanes.all[0]._settle([Outcome(quick.chunk.id, Status.OK, b"")])
        await until(lambda: answer(parts, 1))
        await parts.asked()
        assert parts.lanes.choice.of(AT_A) == 0

    run(scenario)


def test_a_shard_returns_to_a_failed_lane_only_after_it_carried_a_question() -> None:
    async def scenario(parts: Parts) -> None:
        parts.lanes.broke(0)
        parts.connect(0)
        parts.watch.look(1000.0)
        await until(lambda: answer(parts, 0))
        await parts.asked()
        assert parts.lanes.choice.unproven(AT_A) == []

    run(scenario)


def test_an_answer_through_another_lane_does_not_count_for_a_failed_one() -> None:
    async def scenario(parts: Parts) -> None:
        parts.lanes.broke(0)
        parts.connect(0)
        parts.watch.look(1000.0)
        await asyncio.sleep(0)
        parts.lanes.broke(0)
        await until(lambda: answer(parts, 1))
        await parts.asked()
        parts.connect(0)
        assert parts.lanes.choice.unproven(AT_A) == [0]

    run(scenario)


def test_the_watch_asks_often_enough_to_limit_a_stall_to_a_second() -> None:
    assert SUSPECT_S + 2 * lane_watch.LOOK_EVERY_S < 1.0
