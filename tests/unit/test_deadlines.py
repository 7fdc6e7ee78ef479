"""Chunks that have no outcome when their deadline passes."""

import asyncio

import pytest

from api.queue.deadlines import GRACE_S, Deadlines
from api.queue.outgoing import Outgoing
from api.queue.pending import Pending, PendingChunks
from protocol.operations import Status
from tests.unit.queue_fakes import Counts, chunk, outcome_of, pending_of, status_of, until


def parts() -> tuple[PendingChunks, Outgoing, Deadlines]:
    counts = Counts()
    chunks = PendingChunks(counts, counts)
    outgoing = Outgoing(("s1",), chunks)
    return chunks, outgoing, Deadlines(chunks, lambda _: None)


def sent(chunks: PendingChunks, outgoing: Outgoing, *pending: Pending) -> None:
    """Put chunks into one frame that Redis has."""
    for each in pending:
        chunks.add(each)
        outgoing.add(each)
        each.sends = 1
    ((frame, _),) = outgoing.frames()
    frame.entry_id = b"1-0"


@pytest.mark.parametrize(("sends", "status"), [(0, Status.UNREACHABLE), (1, Status.UNKNOWN), (2, Status.UNKNOWN)])
def test_a_chunk_is_given_up_a_little_after_its_deadline(sends: int, status: Status) -> None:
    async def scenario() -> None:
        chunks, _, deadlines = parts()
        pending = pending_of(chunk(1), ends=100.0, sends=sends)
        chunks.add(pending)
        deadlines.sweep(100.0 + GRACE_S)
        assert outcome_of(pending) is None
        deadlines.sweep(100.01 + GRACE_S)
        assert status_of(pending) == status
        assert len(chunks) == 0

    asyncio.run(scenario())


def test_a_frame_is_deleted_when_its_last_chunk_was_given_up() -> None:
    async def scenario() -> None:
        chunks, outgoing, deadlines = parts()
        first, last = pending_of(chunk(1), ends=100.0), pending_of(chunk(2), ends=200.0)
        sent(chunks, outgoing, first, last)
        deadlines.sweep(150.0)
        assert outgoing.take_deletions() == {}
        deadlines.sweep(250.0)
        assert outgoing.take_deletions() == {"kv:s1": [b"1-0"]}

    asyncio.run(scenario())


def test_overdue_chunks_are_swept_regularly_and_the_loops_lag_is_reported() -> None:
    async def scenario() -> None:
        counts = Counts()
        chunks = PendingChunks(counts, counts)
        told: list[float] = []
        deadlines = Deadlines(chunks, told.append)
        pending = pending_of(chunk(1), ends=0.0)
        chunks.add(pending)
        task = asyncio.create_task(deadlines.run())
        await until(lambda: outcome_of(pending) is not None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert told
        assert all(elapsed > 0 for elapsed in told)

    asyncio.run(scenario())
