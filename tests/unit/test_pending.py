"""Chunks that wait for their outcome, and what may be said of those that were sent more than once."""

import asyncio
from collections.abc import Iterator

import pytest

from api.queue.pending import Gathering, Pending, PendingChunks, SentFrame
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def pending(loop: asyncio.AbstractEventLoop, number: int = 1, *, ends: float = 1.0, sends: int = 1) -> Pending:
    chunk = Chunk(bytes([number]) * 16, Operation.WRITE, 1000, 0, 1, b"body")
    made = Pending("s1", chunk, Gathering(1, loop, ends=ends), 0, None)
    made.sends = sends
    return made


def settle(waiting: Pending, status: int, payload: object) -> None:
    waiting.settle(Outcome(waiting.chunk.id, status, payload))


def outcome_of(settled: Pending) -> int:
    (outcome,) = settled.gathering.outcomes
    assert outcome is not None
    return outcome.status


def test_a_request_is_answered_when_its_last_outcome_is_there(loop: asyncio.AbstractEventLoop) -> None:
    gathering = Gathering(2, loop)
    chunks = [Pending("s1", Chunk(bytes([n]) * 16, 1, 0, 0, 1, b""), gathering, n, None) for n in range(2)]
    settle(chunks[1], Status.OK, "second")
    assert not gathering.future.done()
    settle(chunks[0], Status.OK, "first")
    assert gathering.future.done()
    assert [outcome and outcome.payload for outcome in gathering.outcomes] == ["first", "second"]


def test_outcomes_after_the_client_has_gone_do_no_harm(loop: asyncio.AbstractEventLoop) -> None:
    waiting = pending(loop)
    waiting.gathering.future.cancel()
    settle(waiting, Status.OK, None)


@pytest.mark.parametrize("status", [Status.UNREACHABLE, Status.EXPIRED])
def test_not_applied_is_believed_of_a_chunk_that_was_sent_once(loop: asyncio.AbstractEventLoop, status: Status) -> None:
    waiting = pending(loop, sends=1)
    settle(waiting, status, "")
    assert outcome_of(waiting) == status


@pytest.mark.parametrize("status", [Status.UNREACHABLE, Status.EXPIRED])
def test_not_applied_is_unknown_for_a_chunk_that_was_sent_twice(
    loop: asyncio.AbstractEventLoop, status: Status
) -> None:
    """The first copy may have been applied, and its reply lost."""
    waiting = pending(loop, sends=2)
    settle(waiting, status, "")
    assert outcome_of(waiting) == Status.UNKNOWN


def test_a_second_answer_finds_nobody_waiting(loop: asyncio.AbstractEventLoop) -> None:
    chunks = PendingChunks()
    waiting = pending(loop)
    chunks.add(waiting)
    assert chunks.take(waiting.chunk.id) is waiting
    assert chunks.take(waiting.chunk.id) is None
    assert len(chunks) == 0


def test_a_chunk_cannot_be_waited_for_twice(loop: asyncio.AbstractEventLoop) -> None:
    chunks = PendingChunks()
    chunks.add(pending(loop))
    with pytest.raises(ValueError, match="under way already"):
        chunks.add(pending(loop))


def test_a_frame_counts_those_of_its_chunks_that_wait(loop: asyncio.AbstractEventLoop) -> None:
    chunks = PendingChunks()
    frame = SentFrame("s1", 2)
    for number in (1, 2):
        waiting = pending(loop, number)
        waiting.frame = frame
        chunks.add(waiting)
    chunks.take(bytes([1]) * 16)
    assert frame.waiting == 1


def test_chunks_are_overdue_after_their_deadline_and_not_at_it(loop: asyncio.AbstractEventLoop) -> None:
    chunks = PendingChunks()
    chunks.add(pending(loop, 1, ends=1.0))
    chunks.add(pending(loop, 2, ends=1.5))
    assert chunks.overdue(1.0) == []
    assert [waiting.gathering.ends for waiting in chunks.overdue(1.5)] == [1.0]


def test_chunks_may_be_taken_while_they_are_looked_through(loop: asyncio.AbstractEventLoop) -> None:
    chunks = PendingChunks()
    for number in range(3):
        chunks.add(pending(loop, number))
    for waiting in chunks:
        chunks.take(waiting.chunk.id)
    assert len(chunks) == 0
