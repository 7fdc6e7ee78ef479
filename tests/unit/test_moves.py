"""Batches and store calls whose buckets move: to which shard they are sent, how soon, and until when."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TypeVar, cast

import pytest

from api.batch.errand import ON_ITS_WAY
from api.batch.outcomes import Result
from api.batch.run import Batches
from api.queue import topology as topology_module
from api.queue.dispatcher import Dispatcher
from api.queue.errors import StoreCallError
from api.queue.store_calls import StoreCalls
from api.queue.topology import MAP_ROUNDS, Topology
from protocol.buckets import HoleError, OverlapError, bucket_of
from protocol.operations import Operation, Status
from protocol.refusals import MOVING, refused_buckets
from protocol.settings import BatchSettings
from tests.unit.moving_shards import BUCKETS, MovingShards, buckets_of, first_half_on_s1, loaded, pack, unpack

SETTINGS = BatchSettings(request_timeout_s=1.0)
KEYS = {bucket_of(key.encode(), BUCKETS): key for key in (f"k{number}" for number in range(200))}
"""A key of each bucket."""
T = TypeVar("T")


@pytest.fixture
def shards() -> MovingShards:
    return MovingShards(first_half_on_s1())


async def with_map(shards: MovingShards, work: Callable[[Topology], Awaitable[T]]) -> T:
    topology = await loaded(shards)
    shards.asked = 0
    return await work(topology)


def read(shards: MovingShards, buckets: list[int], change: Callable[[], None], timeout_s: float = 1.0) -> list[Result]:
    """Read a key of each bucket, with the map from before `change`."""

    async def work(topology: Topology) -> list[Result]:
        change()
        settings = BatchSettings(request_timeout_s=timeout_s)
        batches = Batches(cast("Dispatcher", shards), topology, settings)
        groups = batches.groups()
        groups.add_keys([KEYS[bucket] for bucket in buckets], settings)
        return await batches.run(Operation.READ, groups)

    return asyncio.run(with_map(shards, work))


def move(shards: MovingShards, bucket: int, source: str, target: str) -> None:
    shards.where[source][bucket] = target
    shards.where[target].pop(bucket)


def places(shards: MovingShards) -> list[tuple[str, list[int]]]:
    return [(shard, buckets_of(chunk)) for shard, chunk in shards.sent]


def test_keys_of_a_moved_bucket_go_to_its_new_shard_and_the_others_to_the_old_one_again(shards: MovingShards) -> None:
    results = read(shards, [1, 2, 3, 7], lambda: move(shards, 2, "s1", "s2"))
    assert {result.outcome.status for result in results} == {Status.OK}
    assert sorted(key for result in results for key in result.part.keys) == sorted(KEYS[n] for n in (1, 2, 3, 7))
    assert places(shards) == [("s1", [1, 2, 3]), ("s2", [7]), ("s1", [1, 3]), ("s2", [2])]
    assert not shards.asked, "the refusal says where the bucket is"


def test_a_chunk_that_was_refused_is_never_sent_again(shards: MovingShards) -> None:
    read(shards, [1, 2], lambda: move(shards, 2, "s1", "s2"))
    ids = [chunk.id for _, chunk in shards.sent]
    assert len(set(ids)) == len(ids) == 3


def test_keys_of_a_moving_bucket_are_sent_again_until_it_has_arrived(shards: MovingShards) -> None:
    shards.where["s2"][2] = MOVING
    times: list[float] = []

    def arrive() -> None:
        times.append(time.monotonic())
        if len(times) == 6:
            move(shards, 2, "s1", "s2")

    shards.on_dispatch = arrive
    results = read(shards, [1, 2], lambda: shards.where["s1"].update({2: MOVING}))
    assert {result.outcome.status for result in results} == {Status.OK}
    assert places(shards)[:2] == [("s1", [1, 2]), ("s1", [1])], "keys of buckets that do not move are sent at once"
    pauses = [after - before for before, after in pairwise(times[1:6])]
    assert all(pause > 0.009 for pause in pauses), pauses
    assert not shards.asked


def test_a_change_whose_bucket_moves_until_the_deadline_is_not_applied(shards: MovingShards) -> None:
    shards.where["s2"][2] = MOVING
    results = read(shards, [1, 2], lambda: shards.where["s1"].update({2: MOVING}), timeout_s=0.2)
    said = {result.part.keys[0]: result.outcome for result in results}
    assert said[KEYS[1]].status == Status.OK
    assert (said[KEYS[2]].status, said[KEYS[2]].text) == (Status.WRONG_BUCKET, ON_ITS_WAY)


def test_all_shards_are_asked_if_one_does_not_know_where_a_bucket_is(shards: MovingShards) -> None:
    def forget() -> None:
        move(shards, 2, "s1", "s2")
        shards.where["s1"][2] = None

    (result,) = read(shards, [2], forget)
    assert (result.part.shard, result.outcome.status) == ("s2", Status.OK)
    assert shards.asked == 1


def test_the_number_of_attempts_is_bounded_if_two_shards_name_each_other_as_owner(shards: MovingShards) -> None:
    def quarrel() -> None:
        shards.where["s1"][2], shards.where["s2"][2] = "s2", "s1"

    read(shards, [2], quarrel, timeout_s=0.3)
    assert 5 < len(shards.sent) < 40


@pytest.mark.parametrize("where", [MOVING, None, "s9", b"no refusal"])
def test_a_store_call_follows_its_bucket(shards: MovingShards, where: object) -> None:
    def arrive() -> None:
        if len(shards.sent) == 2:
            move(shards, 2, "s1", "s2")

    async def work(topology: Topology) -> None:
        shards.where["s2"][2] = MOVING
        shards.where["s1"][2] = where  # type: ignore[assignment]
        shards.on_dispatch = arrive
        await StoreCalls(cast("Dispatcher", shards), topology, 1.0).call(Operation.CLAIM, 2, ("x",))

    asyncio.run(with_map(shards, work))
    asked = [shard for shard, _ in shards.sent]
    assert asked == (["s1", "s1", "s1", "s2"] if where is MOVING else ["s1", "s2", "s2"])
    assert len({chunk.id for _, chunk in shards.sent}) == len(asked)


def test_a_store_call_ends_with_its_deadline(shards: MovingShards) -> None:
    async def work(topology: Topology) -> None:
        shards.where["s1"][2] = shards.where["s2"][2] = MOVING
        await StoreCalls(cast("Dispatcher", shards), topology, 0.1).call(Operation.CLAIM, 2, ("x",))

    with pytest.raises(StoreCallError, match="moving"):
        asyncio.run(with_map(shards, work))
    assert 3 < len(shards.sent) < 15


@pytest.mark.parametrize(("error", "where"), [(HoleError, {"s1": {2: "s2"}}), (OverlapError, {})])
def test_a_hole_or_an_overlap_is_reported_only_after_several_rounds(
    shards: MovingShards, monkeypatch: pytest.MonkeyPatch, error: type[Exception], where: dict[str, dict[int, str]]
) -> None:
    """A bucket that moves between two answers is in neither, or in both."""
    monkeypatch.setattr(topology_module, "MAP_ROUND_S", 0.001)

    async def work(topology: Topology) -> None:
        owners = list(topology.map.owners)
        shards.where["s1"].update(where.get("s1", {}))
        if error is OverlapError:
            del shards.where["s2"][2]
        with pytest.raises(error):
            await topology.refresh()
        assert shards.asked == MAP_ROUNDS
        assert list(topology.map.owners) == owners, "the previous map stays"
        described = shards.described

        def settle(shard: str) -> dict[str, object]:
            if shards.asked == MAP_ROUNDS + 3:
                shards.where = {"s1": {2: "s2", **first_half_on_s1()["s1"]}, "s2": dict.fromkeys((1, 3, 4, 5), "s1")}
            return described(shard)

        monkeypatch.setattr(shards, "described", settle)
        await topology.refresh()
        assert topology.map.owner(2) == "s2"

    asyncio.run(with_map(shards, work))


def test_an_overlap_is_logged_as_critical_and_a_hole_is_not(
    shards: MovingShards, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(topology_module, "MAP_ROUND_S", 0.001)

    async def work(topology: Topology) -> None:
        shards.where["s1"][2] = "s2"
        with pytest.raises(HoleError):
            await topology.refresh()
        assert not caplog.records
        del shards.where["s1"][2], shards.where["s2"][2]
        with pytest.raises(OverlapError):
            await topology.refresh()

    with caplog.at_level("CRITICAL"):
        asyncio.run(with_map(shards, work))
    assert [record.message for record in caplog.records] == ["two shards own one bucket"]


@pytest.mark.parametrize("payload", [b"", b"the shard does not own it", "text", None, pack([[1]]), pack([["a", 1]])])
def test_a_malformed_refusal_names_no_bucket(payload: object) -> None:
    assert refused_buckets(payload) == {}


def test_a_refusal_names_its_buckets() -> None:
    said = [[1, "s2"], [2, True], [3, None]]
    assert refused_buckets(pack(said)) == {1: "s2", 2: MOVING, 3: None}
    assert unpack(pack(said)) == said
