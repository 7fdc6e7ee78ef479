"""How chunks that wait to be sent are cut into frames, and which frames are deleted."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from api.queue.outgoing import FRAMES_AT_ONCE, Outgoing
from api.queue.pending import Pending, PendingChunks
from protocol.frames import MAX_FRAME_BYTES, MAX_FRAME_KEYS
from tests.unit.queue_fakes import Counts, chunk, pending_of, settle

Frames = list[list[int]]


class Queue:
    """The waiting chunks, and those of them that are to be sent."""

    def __init__(self) -> None:
        counts = Counts()
        self.chunks = PendingChunks(counts, counts)
        self.outgoing = Outgoing(("s1", "s2"), self.chunks)

    def add(self, number: int, *, keys: int = 1, size: int = 4, shard: str = "s1") -> Pending:
        pending = pending_of(chunk(number, keys=keys, size=size), shard=shard)
        self.chunks.add(pending)
        self.outgoing.add(pending)
        return pending

    def frames(self) -> Frames:
        return [[pending.chunk.id[0] for pending in chunks] for _, chunks in self.outgoing.frames()]


def run(scenario: Callable[[Queue], Coroutine[None, None, None]]) -> None:
    asyncio.run(scenario(Queue()))


@pytest.mark.parametrize(
    ("first", "second"),
    [({"keys": MAX_FRAME_KEYS}, {"keys": 1}), ({"size": MAX_FRAME_BYTES}, {"size": 1}), ({"keys": 9999}, {"keys": 1})],
)
def test_a_frame_is_bounded_in_keys_and_bytes_but_may_hold_one_chunk_of_any_size(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(1, **first)
        queue.add(2, **second)
        queue.add(3)
        assert queue.frames() == [[1], [2, 3]]

    run(scenario)


def test_each_shard_has_frames_of_its_own() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(1, shard="s2")
        queue.add(2)
        queue.add(3, shard="s2")
        assert queue.frames() == [[2], [1, 3]]
        assert queue.frames() == []

    run(scenario)


def test_a_round_trip_takes_a_bounded_number_of_frames() -> None:
    async def scenario(queue: Queue) -> None:
        for number in range(FRAMES_AT_ONCE + 1):
            queue.add(number, size=MAX_FRAME_BYTES)
        assert len(queue.frames()) == FRAMES_AT_ONCE
        assert len(queue.outgoing) == 1
        assert len(queue.frames()) == 1

    run(scenario)


def test_a_chunk_for_which_no_request_waits_any_more_is_not_sent() -> None:
    """Nor is it sent if the same id waits again: this copy has the earlier deadline."""

    async def scenario(queue: Queue) -> None:
        given_up = queue.add(1)
        queue.chunks.give_up(given_up, "too late")
        again = queue.add(1)
        ((_, sent),) = queue.outgoing.frames()
        assert sent == [again]

    run(scenario)


def test_all_waiting_chunks_are_sent_again_once() -> None:
    async def scenario(queue: Queue) -> None:
        sent, answered = queue.add(1), queue.add(2)
        queue.frames()
        settle(queue.chunks, answered)
        queue.add(3)
        queue.outgoing.add_all_again()
        assert queue.frames() == [[1, 3]]
        assert sent in queue.chunks

    run(scenario)


def test_the_earlier_frame_of_a_chunk_is_deleted() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(1)
        ((frame, _),) = queue.outgoing.frames()
        frame.entry_id = b"1-0"
        queue.outgoing.add_all_again()
        queue.frames()
        assert queue.outgoing.take_deletions() == {"kv:s1": [b"1-0"]}
        assert queue.outgoing.take_deletions() == {}

    run(scenario)


def test_a_frame_without_an_id_yet_is_deleted_when_it_has_one() -> None:
    async def scenario(queue: Queue) -> None:
        queue.add(1)
        ((frame, _),) = queue.outgoing.frames()
        queue.outgoing.abandon(frame)
        assert queue.outgoing.take_deletions() == {}
        assert frame.given_up
        frame.entry_id = b"1-0"
        queue.outgoing.abandon(frame)
        assert queue.outgoing.take_deletions() == {"kv:s1": [b"1-0"]}

    run(scenario)


def test_deletions_that_may_have_failed_are_repeated() -> None:
    async def scenario(queue: Queue) -> None:
        queue.outgoing.delete("reply:a", b"1-0")
        taken = queue.outgoing.take_deletions()
        queue.outgoing.delete("reply:a", b"2-0")
        queue.outgoing.delete_again(taken)
        assert queue.outgoing.take_deletions() == {"reply:a": [b"2-0", b"1-0"]}

    run(scenario)
