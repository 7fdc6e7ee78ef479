"""Shards' answers that were damaged on the way: each affects only its own request."""

import asyncio
from typing import Any, cast

import msgpack
import pytest

from api.queue.descriptions import ask
from api.queue.dispatcher import Dispatcher
from api.queue.errors import StoreCallError
from api.queue.pending import Caller, PendingChunks
from api.queue.store_calls import StoreCalls
from protocol.frames import Chunk, Outcome
from protocol.operations import READS, Operation, Status
from tests.unit.queue_fakes import Counts, chunk, outcome_of, pending_of, status_of
from worker.errors import ShardUnreachableError
from worker.iproto import Procedure
from worker.shard import Shard

NO_ANSWERS = [None, 5, [1], {"a": 1}]


@pytest.mark.parametrize("payload", NO_ANSWERS)
def test_a_damaged_answer_fails_its_own_read_and_no_other(payload: object) -> None:
    counts = Counts()
    chunks = PendingChunks(counts, counts)
    one, other = (
        pending_of(chunk(number, operation=Operation.READ), caller=Caller(take=lambda _: True)) for number in (1, 2)
    )
    for pending in (one, other):
        chunks.add(pending)
    chunks.settle([Outcome(one.chunk.id, Status.OK, payload), Outcome(other.chunk.id, Status.OK, b"good")])
    assert outcome_of(one) == Outcome(one.chunk.id, Status.OK, payload)
    assert status_of(other) == Status.OK


class Answering:
    """Stands in for the dispatcher: every chunk succeeds and has the same payload."""

    ids = property(lambda self: self)

    def __init__(self, payload: object) -> None:
        self._payload = payload

    def next(self) -> bytes:
        return b"i" * 16

    async def dispatch(self, parts: list[tuple[str, Chunk]]) -> list[Outcome]:
        return [Outcome(chunk.id, Status.OK, self._payload) for _, chunk in parts]


@pytest.mark.parametrize("payload", [*NO_ANSWERS, b"\xc1", b"\xa1\xff"])
def test_a_damaged_description_of_a_shard_counts_as_a_refusal(payload: object) -> None:
    said = asyncio.run(ask(cast("Dispatcher", Answering(payload)), "s1", 1000))
    assert isinstance(said, Outcome)
    assert said.status == Status.REFUSED


@pytest.mark.parametrize("payload", [5, [1], {"a": 1}, b"\xc1", b"\xa1\xff"])
def test_a_store_call_whose_answer_is_damaged_is_unknown(payload: object) -> None:
    calls = StoreCalls(cast("Dispatcher", Answering(payload)), cast("Any", None), 1.0)
    with pytest.raises(StoreCallError, match="damaged") as unknown:
        asyncio.run(calls.call_shard("s1", Operation.USER_LIST, ("", 1)))
    assert unknown.value.status == Status.UNKNOWN


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        *((operation, payload) for operation in sorted(READS) for payload in NO_ANSWERS),
        (Operation.DELETE, msgpack.Timestamp(1)),
        (Operation.WRITE, [1]),
    ],
)
def test_a_worker_calls_again_if_the_answer_to_a_chunk_is_damaged(
    monkeypatch: pytest.MonkeyPatch, operation: Operation, payload: object
) -> None:
    shard = Shard("s1", [("127.0.0.1", 1)], cast("Any", None), 1.0)
    monkeypatch.setattr(shard, "connect", lambda: None)
    procedure = cast("Procedure", lambda *_: [[Status.OK.value, payload], [Status.OK.value, None]])
    monkeypatch.setattr(shard, "_procedure", procedure)
    monkeypatch.setattr(shard, "disconnect", lambda: None)
    with pytest.raises(ShardUnreachableError, match="damaged") as lost:
        shard.apply([chunk(1, operation=operation), chunk(2)])
    assert lost.value.sent
