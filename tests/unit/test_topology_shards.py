"""Shards that are added and removed while an api process runs: what it asks them, and which shards the cluster has."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from api.batch.run import Batches
from api.queue import topology as topology_module
from api.queue.dispatcher import Dispatcher
from api.queue.topology import Topology
from protocol.buckets import bucket_of
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings
from tests.unit.moving_shards import BUCKETS, MovingShards, buckets_of, first_half_on_s1, loaded

SETTINGS = BatchSettings(request_timeout_s=1.0)
KEY = next(f"k{number}" for number in range(1000) if bucket_of(f"k{number}".encode(), BUCKETS) == 2)
THREE = {"s1": [("a", 1)], "s2": [("b", 2)], "s3": [("c", 3)]}
TWO = {"s1": [("a", 1)], "s2": [("b", 2)]}


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> MovingShards:
    """Two shards of the settings, and a third one that has no bucket."""
    monkeypatch.setattr(topology_module, "REFRESH_EVERY_S", 0.001)
    return MovingShards({**first_half_on_s1(), "s3": dict.fromkeys(range(1, BUCKETS + 1))})


def run(shards: MovingShards, work: Callable[[Topology], Awaitable[None]]) -> None:
    async def with_map() -> None:
        await work(await loaded(shards))

    asyncio.run(with_map())


def move(shards: MovingShards, bucket: int, source: str, target: str) -> None:
    shards.where[source][bucket] = target
    del shards.where[target][bucket]


def test_a_key_on_a_shard_that_the_api_did_not_know_is_read_at_once(shards: MovingShards) -> None:
    """The refusal names the shard, and the others announce it."""

    async def work(topology: Topology) -> None:
        assert topology.map.shards == ("s1", "s2")
        shards.announced = THREE
        move(shards, 2, "s1", "s3")
        batches = Batches(cast("Dispatcher", shards), topology, SETTINGS)
        groups = batches.groups()
        groups.add_keys([KEY], SETTINGS)
        (result,) = await batches.run(Operation.READ, groups)
        assert result.outcome.status == Status.OK
        assert [(shard, buckets_of(chunk)) for shard, chunk in shards.sent] == [("s1", [2]), ("s3", [2])]
        assert topology.map.holders == ("s1", "s2", "s3")
        assert shards.shards == shards.placed == ["s1", "s2", "s3"]

    run(shards, work)


def test_any_shards_answer_shows_that_a_shard_was_added_or_removed(shards: MovingShards) -> None:
    told: list[tuple[str, ...]] = []

    async def work(topology: Topology) -> None:
        topology.on_shards = lambda names: told.append(tuple(names))
        for announced in (THREE, THREE, TWO):
            shards.announced = announced
            assert await topology.answers("s2", 1.0)
            assert set(topology.map.shards) == announced.keys()

    run(shards, work)
    assert told == [("s1", "s2", "s3"), ("s1", "s2")]


def test_a_shard_that_is_announced_but_dead_delays_no_request(shards: MovingShards) -> None:
    async def work(topology: Topology) -> None:
        shards.announced, shards.silent = THREE, {"s3"}
        await topology.refresh()
        assert topology.map.shards == ("s1", "s2", "s3")
        assert topology.map.holders == ("s1", "s2")
        assert shards.placed == ["s1", "s2"], "the dead shard has room that no request can use"

    run(shards, work)


def test_the_map_keeps_the_buckets_of_a_dead_shard_and_updates_all_others(shards: MovingShards) -> None:
    async def work(topology: Topology) -> None:
        shards.announced, shards.silent = THREE, {"s2"}
        move(shards, 2, "s1", "s3")
        await topology.refresh()
        assert [topology.map.owner(bucket) for bucket in (1, 2, 6, 10)] == ["s1", "s3", "s2", "s2"]

    run(shards, work)


def test_an_api_starts_even_if_a_shard_of_the_settings_was_removed(shards: MovingShards) -> None:
    shards.announced = {"s1": [("a", 1)], "s3": [("c", 3)]}
    shards.silent = {"s2"}
    for bucket in range(6, 11):
        shards.where["s1"][bucket] = "s3"
        del shards.where["s3"][bucket]

    async def work(topology: Topology) -> None:
        assert topology.map.holders == ("s1", "s3")

    run(shards, work)


def test_a_shard_that_still_owns_buckets_is_not_dropped_from_the_map(
    shards: MovingShards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An announcement without a shard that owns buckets is a mistake: the api keeps its map."""
    monkeypatch.setattr(topology_module, "MAP_ROUND_S", 0.001)

    async def work(topology: Topology) -> None:
        shards.announced = {"s1": [("a", 1)]}
        assert await topology.answers("s1", 1.0)
        assert topology.map.shards == ("s1", "s2")

    run(shards, work)
