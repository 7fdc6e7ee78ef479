"""What a batch may report about its chunks."""

import asyncio
from collections.abc import Sequence
from typing import cast

import msgspec
import pytest

from api.batch.errand import Claim
from api.batch.options import Mark, PerKey, WriteOptions
from api.batch.outcomes import Result, check
from api.batch.run import Batches
from api.batch.split import Part
from api.http.problems import Kind, Problem
from api.overload.errors import OverloadedError, overloaded
from api.queue.chunk_ids import ChunkIds
from api.queue.dispatcher import Dispatcher
from api.queue.topology import Lesson, Topology
from protocol.buckets import ShardMap
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings

SETTINGS = BatchSettings()
ASKED_MS = 1_700_000_000_000


class FakeDispatcher:
    """Gives every chunk the same status."""

    def __init__(self, status: Status) -> None:
        self.status = status
        self.sent: list[Chunk] = []
        self.ids = ChunkIds(("s1", "s2"))

    async def dispatch(self, parts: Sequence[tuple[str, Chunk]], *_: object) -> list[Outcome]:
        self.sent += [chunk for _, chunk in parts]
        return [Outcome(chunk.id, self.status, "") for _, chunk in parts]


class FakeTopology:
    buckets_move = False
    map = ShardMap(("s1",), 10, (0,) * 11)


def run(status: Status, claim: Claim | None = None) -> tuple[list[Result], list[Chunk]]:
    dispatcher = FakeDispatcher(status)
    batches = Batches(cast("Dispatcher", dispatcher), cast("Topology", FakeTopology()), SETTINGS)
    groups = batches.groups()
    groups.add_values({"k": 1}, SETTINGS)
    return asyncio.run(batches.run(Operation.WRITE, groups, claim=claim)), dispatcher.sent


def status_of(status: Status, claim: Claim | None = None) -> int:
    ((result,), _) = run(status, claim)
    return result.outcome.status


REFUSALS = [status for status in Status if status not in (Status.OK, Status.UNKNOWN, Status.WRONG_BUCKET)]


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_in_the_first_attempt_of_a_claim_is_not_applied(status: Status) -> None:
    assert status_of(status, Claim("c", repeated=False, asked_ms=ASKED_MS)) == status
    assert status_of(status) == status


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_in_a_later_attempt_of_a_claim_is_unknown(status: Status) -> None:
    """A frozen worker may hold a copy of its chunks, whatever the shard says of this one."""
    assert status_of(status, Claim("c", repeated=True, asked_ms=ASKED_MS)) == Status.UNKNOWN


def test_a_success_in_a_later_attempt_of_a_claim_is_a_success() -> None:
    assert status_of(Status.OK, Claim("c", repeated=True, asked_ms=ASKED_MS)) == Status.OK


def test_chunks_of_a_claim_have_the_same_ids_in_every_attempt() -> None:
    first, again, other = (
        run(Status.OK, Claim(name, repeated=False, asked_ms=ASKED_MS))[1][0].id for name in ("c", "c", "d")
    )
    assert first == again
    assert first != other


def test_the_time_of_a_request_counts_from_its_claim() -> None:
    _, (chunk,) = run(Status.OK, Claim("c", repeated=False, asked_ms=ASKED_MS))
    assert chunk.deadline_ms == ASKED_MS + 5000


def test_the_time_of_a_request_counts_from_its_arrival_if_that_is_known() -> None:
    dispatcher = FakeDispatcher(Status.OK)
    batches = Batches(cast("Dispatcher", dispatcher), cast("Topology", FakeTopology()), SETTINGS)
    groups = batches.groups()
    groups.add_keys(["k"], SETTINGS)
    for claim in (None, Claim("c", repeated=False, asked_ms=ASKED_MS)):
        asyncio.run(batches.run(Operation.READ, groups, claim=claim, arrived_ms=ASKED_MS - 700))
    assert [chunk.deadline_ms for chunk in dispatcher.sent] == [ASKED_MS + 4300] * 2


def result(key: str, status: Status) -> Result:
    return Result(Part("s1", [key], b"x"), Outcome(b"", status, "why"))


def test_a_failed_key_is_unknown_only_if_its_chunks_outcome_is() -> None:
    with pytest.raises(Problem) as caught:
        check([result("a", Status.OK), result("b", Status.UNREACHABLE), result("c", Status.UNKNOWN)], Operation.WRITE)
    assert caught.value.members["failed"] == {"b": "not_applied", "c": "unknown"}


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ([Status.UNREACHABLE, Status.UNKNOWN], Kind.OUTCOME_UNKNOWN),
        ([Status.UNREACHABLE, Status.REFUSED], Kind.DATABASE_REFUSED),
        ([Status.UNREACHABLE, Status.EXPIRED], Kind.DEADLINE_PASSED),
        ([Status.OK, Status.READ_ONLY], Kind.SHARD_UNAVAILABLE),
    ],
)
def test_the_worst_outcome_decides_the_status_of_the_answer(statuses: list[Status], kind: Kind) -> None:
    with pytest.raises(Problem) as caught:
        check([result(str(number), status) for number, status in enumerate(statuses)], Operation.WRITE)
    assert caught.value.kind is kind


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_a_key_that_could_not_be_read_is_not_read(status: Status) -> None:
    """A read has no effect, so its outcome is never unknown."""
    with pytest.raises(Problem) as caught:
        check([result("a", status)], Operation.READ)
    assert caught.value.members["failed"] == {"a": "not_read"}
    assert caught.value.kind is not Kind.OUTCOME_UNKNOWN


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_every_status_but_success_is_a_problem(status: Status) -> None:
    with pytest.raises(Problem):
        check([result("k", status)], Operation.WRITE)


class MovingTopology:
    """A map by which one bucket has moved to another shard than the dispatcher below thinks, until it is refreshed."""

    buckets_move = False

    def __init__(self) -> None:
        self.map = ShardMap(("s1", "s2"), 1, (0, 0))

    def learn(self, _: object) -> Lesson:
        return Lesson(frozenset(), unknown=True)

    async def try_refresh(self) -> None:
        self.map = ShardMap(("s1", "s2"), 1, (0, 1))


class FullDispatcher(FakeDispatcher):
    """Gives the status to the first chunks, and admits none after that."""

    async def dispatch(self, parts: Sequence[tuple[str, Chunk]], *_: object) -> list[Outcome]:
        if self.sent:
            raise overloaded("full")
        return await super().dispatch(parts)


def test_keys_that_are_not_admitted_in_a_later_round_are_named() -> None:
    batches = Batches(
        cast("Dispatcher", FullDispatcher(Status.WRONG_BUCKET)), cast("Topology", MovingTopology()), SETTINGS
    )
    groups = batches.groups()
    groups.add_values({"k": 1}, SETTINGS)
    (moved,) = asyncio.run(batches.run(Operation.WRITE, groups))
    assert moved.part.keys == ["k"]
    assert moved.outcome.status == Status.UNREACHABLE


def test_a_later_attempt_with_a_wrong_bucket_updates_the_map_for_the_next() -> None:
    """During this attempt a copy of the first may still be applied, if its shard owns the bucket again."""
    topology = MovingTopology()
    batches = Batches(cast("Dispatcher", FakeDispatcher(Status.WRONG_BUCKET)), cast("Topology", topology), SETTINGS)
    groups = batches.groups()
    groups.add_values({"k": 1}, SETTINGS)
    claim = Claim("c", repeated=True, asked_ms=ASKED_MS)
    (misplaced,) = asyncio.run(batches.run(Operation.WRITE, groups, claim=claim))
    assert misplaced.outcome.status == Status.UNKNOWN
    assert topology.map.owner(1) == "s2"


def test_keys_that_a_later_attempt_of_a_claim_does_not_admit_are_unknown() -> None:
    dispatcher = FullDispatcher(Status.OK)
    dispatcher.sent.append(Chunk(b"", 1, 0, 0, 1, b""))
    batches = Batches(cast("Dispatcher", dispatcher), cast("Topology", FakeTopology()), SETTINGS)
    groups = batches.groups()
    groups.add_values({"k": 1}, SETTINGS)
    (refused,) = asyncio.run(batches.run(Operation.WRITE, groups, claim=Claim("c", repeated=True, asked_ms=ASKED_MS)))
    assert refused.outcome.status == Status.UNKNOWN
    with pytest.raises(OverloadedError, match="nothing was applied"):
        asyncio.run(batches.run(Operation.WRITE, groups, claim=Claim("c", repeated=False, asked_ms=ASKED_MS)))


def test_a_read_without_memory_for_its_answer_is_overload() -> None:
    with pytest.raises(Problem) as caught:
        check([result("a", Status.NO_MEMORY)], Operation.READ)
    assert caught.value.kind is Kind.OVERLOADED


class MovedDispatcher(FakeDispatcher):
    """One shard has given its buckets away; the other accepts all chunks."""

    async def dispatch(self, parts: Sequence[tuple[str, Chunk]], *_: object) -> list[Outcome]:
        self.sent += [chunk for _, chunk in parts]
        return [Outcome(chunk.id, Status.WRONG_BUCKET if shard == "s1" else Status.OK, "") for shard, chunk in parts]


def test_expiries_and_conditions_are_sent_with_their_keys_to_the_new_shard() -> None:
    dispatcher = MovedDispatcher(Status.OK)
    batches = Batches(cast("Dispatcher", dispatcher), cast("Topology", MovingTopology()), SETTINGS)
    groups = batches.groups()
    own: dict[str, Mark] = {"a": (5000, False), "b": (None, 7)}
    options = WriteOptions(PerKey((0, None), own), versions=True, operation=Operation.UPDATE)
    groups.add_values({"a": 1, "b": 2, "c": 3}, SETTINGS, options)
    (moved,) = asyncio.run(batches.run(Operation.UPDATE, groups))
    assert (moved.part.shard, moved.outcome.status) == ("s2", Status.OK)
    first, second = dispatcher.sent
    assert first.body == second.body
    assert msgspec.msgpack.decode(second.body) == [[["a", 1, 1, 5000], ["b", 1, 2], ["c", 1, 3, 0]], [False, 7, None]]
