"""Chunks that wait for their outcome: which outcome of a chunk that was sent several times may be reported."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from api.queue.outgoing import Outgoing
from api.queue.pending import SMALL_ANSWER, Caller, Gathering, Pending, PendingChunks, SentFrame, resolving
from protocol.frames import Chunk, Outcome
from protocol.operations import CHANGES, ON_RECORD, Operation, Status
from tests.unit.queue_fakes import Counts, chunk, outcome_of, pending_of, settle, status_at_the_end, status_of

REFUSALS = [status for status in Status if status not in (*ON_RECORD, Status.UNKNOWN)]


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def chunks(counts: Counts) -> PendingChunks:
    return PendingChunks(counts, counts)


async def settled(chunks: PendingChunks, status: Status, *, sends: int, operation: int = Operation.WRITE) -> int | None:
    pending = pending_of(chunk(1, operation=operation), sends=sends)
    chunks.add(pending)
    settle(chunks, pending, status)
    return status_at_the_end(chunks, pending)


@pytest.mark.parametrize("status", list(Status))
def test_any_outcome_of_a_chunk_that_was_sent_once_is_final(chunks: PendingChunks, status: Status) -> None:
    assert asyncio.run(settled(chunks, status, sends=1)) == status


@pytest.mark.parametrize("operation", sorted(CHANGES))
@pytest.mark.parametrize("status", sorted(ON_RECORD))
def test_a_recorded_outcome_is_final_however_often_the_chunk_was_sent(
    chunks: PendingChunks, status: Status, operation: Operation
) -> None:
    assert asyncio.run(settled(chunks, status, sends=2, operation=operation)) == status


@pytest.mark.parametrize("operation", sorted(CHANGES))
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_of_a_change_that_was_sent_twice_is_unknown(
    chunks: PendingChunks, status: Status, operation: Operation
) -> None:
    """A frozen worker may hold the other copy."""
    assert asyncio.run(settled(chunks, status, sends=2, operation=operation)) == Status.UNKNOWN


@pytest.mark.parametrize("status", REFUSALS)
def test_a_read_that_was_sent_twice_has_the_outcome_of_its_last_copy(chunks: PendingChunks, status: Status) -> None:
    assert asyncio.run(settled(chunks, status, sends=2, operation=Operation.READ)) == status


def test_a_success_is_final_however_often_the_chunk_was_sent(chunks: PendingChunks) -> None:
    assert asyncio.run(settled(chunks, Status.OK, sends=2)) == Status.OK


@pytest.mark.parametrize(("status", "sends"), [(Status.UNKNOWN, 1), (Status.REFUSED, 2), (Status.UNREACHABLE, 2)])
def test_an_unknown_outcome_is_reported_at_the_deadline_and_not_before(
    chunks: PendingChunks, status: Status, sends: int
) -> None:
    """Until then another copy may be applied, even after the client's next request."""

    async def scenario() -> None:
        pending = pending_of(chunk(1), ends=time.monotonic() + 60, sends=sends)
        chunks.add(pending)
        settle(chunks, pending, status, "disk full")
        settle(chunks, pending, Status.REFUSED, "a second copy")
        assert status_of(pending) is None
        assert chunks.overdue(pending.gathering.ends, 1.0) == []
        assert chunks.overdue(pending.gathering.ends + 0.01, 1.0) == [pending], "no request waits any more"
        chunks.give_up(pending, "no answer")
        outcome = outcome_of(pending)
        assert outcome is not None
        assert (outcome.status, outcome.payload) == (Status.UNKNOWN, "disk full")

    asyncio.run(scenario())


def test_a_read_without_an_answer_is_reported_at_once(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        pending = pending_of(chunk(1, operation=Operation.READ), ends=time.monotonic() + 60, sends=1)
        chunks.add(pending)
        chunks.not_taken(pending, "the queue refused the chunk")
        assert status_of(pending) == Status.UNKNOWN

    asyncio.run(scenario())


def test_a_success_of_another_copy_is_reported_instead_of_unknown(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        pending = pending_of(chunk(1), sends=2)
        chunks.add(pending)
        settle(chunks, pending, Status.REFUSED)
        settle(chunks, pending, Status.OK)
        assert status_of(pending) == Status.OK
        assert pending not in chunks

    asyncio.run(scenario())


def test_a_request_is_answered_when_its_last_outcome_has_arrived(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        told: list[Sequence[Outcome]] = []
        gathering = Gathering(2, told.append)
        pair = [Pending("s1", chunk(number), gathering, number) for number in range(2)]
        for each in pair:
            chunks.add(each)
        settle(chunks, pair[1], Status.OK, "second")
        assert not told
        settle(chunks, pair[0], Status.OK, "first")
        assert [[outcome.payload for outcome in outcomes] for outcomes in told] == [["first", "second"]]

    asyncio.run(scenario())


def test_outcomes_after_the_client_has_disconnected_are_ignored(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        future: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        pending = Pending("s1", chunk(1), Gathering(1, resolving(future)), 0)
        chunks.add(pending)
        future.cancel()
        settle(chunks, pending)
        assert status_of(pending) == Status.OK

    asyncio.run(scenario())


def test_a_request_that_fails_on_its_outcomes_does_not_stop_others(
    chunks: PendingChunks, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[int] = []

    def fail(_: object) -> None:
        raise ZeroDivisionError

    for number, done in enumerate((fail, lambda outcomes: told.append(outcomes[0].status))):
        chunks.add(Pending("s1", chunk(number), Gathering(1, done), 0))
    chunks.settle([Outcome(pending.chunk.id, Status.OK, None) for pending in chunks])
    assert told == [Status.OK]
    assert len(chunks) == 0
    assert "outcomes could not be processed" in caplog.text


def test_a_second_outcome_of_a_chunk_is_ignored(chunks: PendingChunks, counts: Counts) -> None:
    async def scenario() -> Outcome | None:
        pending = pending_of(chunk(1))
        chunks.add(pending)
        settle(chunks, pending, Status.OK, 1)
        settle(chunks, pending, Status.REFUSED, 2)
        return outcome_of(pending)

    outcome = asyncio.run(scenario())
    assert outcome is not None
    assert outcome.payload == 1
    assert counts.seen == {("s1", Status.OK): 1}


def test_a_chunk_cannot_be_waited_for_twice(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        chunks.add(pending_of(chunk(1)))
        with pytest.raises(ValueError, match="waits already"):
            chunks.add(pending_of(chunk(1)))

    asyncio.run(scenario())


def test_a_chunk_that_was_given_up_is_not_mistaken_for_the_next_attempt_with_its_id(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        first, again = pending_of(chunk(1)), pending_of(chunk(1))
        chunks.add(first)
        chunks.give_up(first, "too late")
        chunks.add(again)
        assert first not in chunks
        assert again in chunks
        chunks.give_up(first, "once more")
        assert again in chunks

    asyncio.run(scenario())


@pytest.mark.parametrize(("sends", "status"), [(0, Status.UNREACHABLE), (1, Status.UNKNOWN), (2, Status.UNKNOWN)])
def test_a_chunk_that_is_given_up_is_unknown_if_it_may_have_been_sent(
    chunks: PendingChunks, sends: int, status: Status
) -> None:
    async def scenario() -> int | None:
        pending = pending_of(chunk(1), sends=sends)
        chunks.add(pending)
        chunks.give_up(pending, "the api is shutting down")
        return status_of(pending)

    assert asyncio.run(scenario()) == status


def test_a_chunk_is_released_once_and_counts_as_finished_if_its_shard_had_it(
    chunks: PendingChunks, counts: Counts
) -> None:
    async def scenario() -> None:
        for number, status in enumerate((Status.OK, Status.REFUSED, Status.EXPIRED, Status.UNKNOWN)):
            pending = pending_of(chunk(number, size=number), caller=Caller("ann"), sends=1)
            chunks.add(pending)
            for _ in range(2):
                settle(chunks, pending, status)
            chunks.give_up(pending, "its time is over")

    asyncio.run(scenario())
    worked = (True, True, False, False)
    assert counts.released == [("s1", size, "ann", had) for size, had in enumerate(worked)]


def test_a_large_answer_is_dropped_if_its_request_has_no_memory_for_it(chunks: PendingChunks) -> None:
    asked: list[int] = []

    def take(size: int) -> bool:
        asked.append(size)
        return False

    async def scenario() -> list[int | None]:
        statuses = []
        for number, size in enumerate((SMALL_ANSWER, SMALL_ANSWER + 1)):
            pending = pending_of(chunk(number, operation=Operation.READ), caller=Caller(take=take))
            chunks.add(pending)
            settle(chunks, pending, Status.OK, bytes(size))
            statuses.append(status_of(pending))
        return statuses

    assert asyncio.run(scenario()) == [Status.OK, Status.NO_MEMORY]
    assert asked == [SMALL_ANSWER + 1]


def test_a_frame_counts_its_waiting_chunks(chunks: PendingChunks) -> None:
    async def scenario() -> int:
        frame = SentFrame("s1", 2, Outgoing(("s1",), chunks))
        pair = [pending_of(chunk(number)) for number in (1, 2)]
        for pending in pair:
            pending.frame = frame
            chunks.add(pending)
        settle(chunks, pair[0])
        return frame.waiting

    assert asyncio.run(scenario()) == 1


def test_chunks_are_overdue_after_their_deadline_and_not_at_it(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        chunks.add(pending_of(chunk(1), ends=1.0))
        chunks.add(pending_of(chunk(2), ends=1.5))
        assert chunks.overdue(1.0, 0.0) == []
        assert [pending.gathering.ends for pending in chunks.overdue(1.5, 0.0)] == [1.0]

    asyncio.run(scenario())


def test_chunks_may_be_settled_during_an_iteration_over_them(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        for number in range(3):
            chunks.add(pending_of(chunk(number)))
        for pending in chunks:
            settle(chunks, pending)

    asyncio.run(scenario())
    assert len(chunks) == 0


def test_a_chunk_waits_only_after_it_was_added(chunks: PendingChunks) -> None:
    async def scenario() -> None:
        pending = pending_of(Chunk(b"i" * 16, Operation.WRITE, 0, 0, 1, b""))
        assert pending not in chunks
        chunks.add(pending)
        assert pending in chunks

    asyncio.run(scenario())
