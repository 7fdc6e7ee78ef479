"""Shards are added and removed while the system runs: api and workers learn it from other shards, without a restart."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from protocol.buckets import bucket_of
from tests.contract.calls import Api, obtain_token
from tests.faults.added_shard import NAME, AddedShard, added_shard, addresses, announce
from tests.faults.console import evaluate, keys_of
from tests.faults.limits import felt_at_most
from tests.faults.load import Load
from tests.faults.mover import Mover, mover
from tests.faults.processes import wait_for
from tests.faults.scenario import Scenario
from tests.faults.workers import another_worker, without_workers

pytestmark = pytest.mark.long

LONGEST_STALL_S = felt_at_most(1.0)
FEW = 10


@pytest.fixture
def moved(scenario: Scenario) -> Iterator[Mover]:
    with mover(scenario.cluster) as made:
        yield made


@pytest.fixture
def added(moved: Mover) -> Iterator[AddedShard]:
    with added_shard(moved) as shard:
        yield shard


@pytest.fixture
def client(scenario: Scenario) -> Iterator[Api]:
    cluster = scenario.cluster
    with Api(cluster.base_url, obtain_token(cluster.base_url, cluster.admin_user, cluster.admin_password)) as api:
        yield api


def all_shards(added: AddedShard) -> list[tuple[str, tuple[str, int]]]:
    return [*addresses(added.mover.cluster), (NAME, added.address)]


def authorized(client: Api) -> dict[str, str]:
    return {"authorization": str(client.token)}


def known(client: Api) -> list[str]:
    """The shards according to the api."""
    return list(client.http.get("/health/ready").json()["shards"])


def shown(client: Api) -> set[str]:
    """The shards in the api's gauges."""
    lines = client.http.get("/metrics").text.splitlines()
    return {line.split('shard="')[1].split('"')[0] for line in lines if 'shard="' in line}


def move_all(moved: Mover, buckets: list[int], target: str) -> None:
    for source in moved.shards:
        there = [bucket for bucket in buckets if moved.place(bucket) == source != target]
        for first in range(0, len(there), FEW):
            moved.move(there[first : first + FEW], target)


def exported(client: Api, prefix: str) -> list[str]:
    """The keys of an export, which must be complete."""
    parameters = {"prefix": prefix, "values": "false"}
    with client.http.stream("GET", "/api/export", params=parameters, headers=authorized(client)) as answer:
        lines = [json.loads(line) for line in answer.iter_lines()]
    assert lines[-1].get("end"), lines[-1]
    return [line["key"] for line in lines if "key" in line]


def test_no_request_fails_when_a_shard_is_added_and_drained_under_load(
    scenario: Scenario, added: AddedShard, client: Api
) -> None:
    moved, cluster = added.mover, scenario.cluster
    buckets = moved.buckets(scenario.keys)
    stays = keys_of(cluster, "s1", f"{scenario.name}-kept", 40)
    client.write(dict.fromkeys(stays, 1))
    page = client.ask("scan", {"prefix": f"{scenario.name}-kept", "limit": 10}).json()

    async def fault(load: Load) -> None:
        # Api and workers learn of the shard only when a bucket has moved to it.
        await asyncio.to_thread(announce, moved, all_shards(added))
        await asyncio.to_thread(move_all, moved, [*buckets, *moved.buckets(stays)], NAME)
        assert await asyncio.to_thread(exported, client, f"{scenario.name}-kept") == sorted(stays)
        await load.good(30)
        await asyncio.to_thread(wait_for, lambda: NAME in known(client) and NAME in shown(client), "not shown", 30)
        status = await asyncio.to_thread(client.http.get, "/api/status", headers=authorized(client))
        assert NAME in [row["shard"] for row in status.json()["shards"]]
        await asyncio.to_thread(moved.home)
        await asyncio.to_thread(announce, moved, addresses(cluster))
        await load.good(30)
        await asyncio.to_thread(wait_for, lambda: NAME not in known(client), "not forgotten", 30)
        await asyncio.to_thread(added.kill)

    run = scenario.run(fault, before=30, after=30)
    assert run.failures() == {}
    assert run.stall_s() < LONGEST_STALL_S
    assert NAME not in shown(client)
    found = page["items"]
    while not page["complete"]:
        page = client.ask("scan", {"cursor": page["cursor"], "limit": 10}).json()
        found += page["items"]
    assert [item["key"] for item in found] == sorted(stays), "the cursor is from before the change"


def test_a_shard_that_is_announced_but_dead_delays_no_request(
    scenario: Scenario, added: AddedShard, client: Api
) -> None:
    moved = added.mover
    added.kill()
    moved.remove(NAME)
    announce(moved, all_shards(added))

    async def fault(load: Load) -> None:
        def is_down() -> bool:
            ready = client.http.get("/health/ready").json()
            return NAME in ready["shards_down"]

        await asyncio.to_thread(wait_for, is_down, "the shard is not known to be down", 30)
        some = moved.buckets(scenario.keys)[:FEW]
        await asyncio.to_thread(move_all, moved, some, "s2")
        await load.good(30)
        answer = await asyncio.to_thread(client.ask, "scan", {"prefix": scenario.name, "limit": 100})
        assert answer.status_code == 200, "no key can be on that shard"
        await asyncio.to_thread(moved.home)

    run = scenario.run(fault, before=20, after=20)
    assert run.failures() == {}
    assert run.stall_s() < LONGEST_STALL_S


def test_a_worker_that_knows_one_shard_learns_of_all_and_serves_them(
    scenario: Scenario, added: AddedShard, client: Api
) -> None:
    moved, cluster = added.mover, scenario.cluster
    (key,) = keys_of(cluster, "s2", scenario.name, 1)
    announce(moved, all_shards(added))
    wait_for(lambda: NAME in known(client), "the api does not learn the shard", 30)
    (name, (host, port)), *_ = addresses(cluster)
    with without_workers(cluster), another_worker(cluster, {"TARANTKV_SHARDS": f"{name}={host}:{port}"}):
        client.write({key: 1})
        moved.move([bucket_of(key.encode(), moved.bucket_count)], NAME)
        assert client.read(key) == {key: 1}
        assert evaluate(added.console, f"box.space.kv:get('{key}') ~= nil")[0]
        assert httpx.get(f"{cluster.base_url}/health/ready", trust_env=False).json()["shards_down"] == []
