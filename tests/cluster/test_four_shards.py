"""Two shards become four and then three: no request fails or takes much longer than usual."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterctl import growth
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_tests
from clusterctl.engine import Engine
from protocol.stopping import Stop
from tests.cluster.batches import SIZES, Batches
from tests.cluster.test_failover import told
from tests.cluster.test_growing import today
from tests.faults.load import Load, login
from tests.faults.scenario import Scenario
from tests.faults.verdict import applied_twice

REST = 1500
"""Calls of each size between the changes, and before the first."""

TIMES_REST = 3.0
"""The p99 while a shard is added or drained must be less than this many times the p99 before."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def cluster(engine: Engine, tmp_path: Path) -> Iterator[ReplicatedCluster]:
    """Two shards of three instances and 600 buckets."""
    cluster = ReplicatedCluster(of_tests(tmp_path / "data", engine, settings={"TARANTKV_BUCKET_COUNT": "600"}))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def change(cluster: ReplicatedCluster, what: str) -> None:
    """Add a shard, or drain the one of this name."""
    now, stop = today(cluster), Stop()
    assert growth.add(now, stop, print) if what == "add" else growth.drain(now, what, stop, print)


def shards_of(cluster: ReplicatedCluster) -> list[str]:
    return [shard.name for shard in today(cluster).config.plan]


def test_two_shards_become_four_and_then_three_with_every_promise_kept(
    cluster: ReplicatedCluster, tmp_path: Path
) -> None:
    scenario = Scenario("four_shards", cluster, tmp_path)

    async def fault(load: Load) -> None:
        for what in ("add", "add", "s2"):
            await asyncio.to_thread(change, cluster, what)
            await load.every_client_answered()
        assert list(applied_twice(today(cluster))) == []
        # The removed shard cannot be asked what it applied.
        scenario.cluster = today(cluster)

    run = scenario.run(fault)

    print(told(run))  # noqa: T201
    assert run.failures() == {}, told(run)
    assert shards_of(cluster) == ["s1", "s3", "s4"]
    today(cluster).check_map(30)


def test_batches_take_less_than_three_times_as_long_while_shards_are_added_and_drained(
    cluster: ReplicatedCluster,
) -> None:
    batches = Batches(cluster.base_url, login(cluster.base_url, cluster.admin_user, cluster.admin_password))
    ratios: dict[str, float] = {}

    async def measure() -> None:
        async with batches.running():
            await batches.rest(REST // 3)
            for what in ("add", "add", "s2"):
                rested = time.monotonic()
                await batches.rest(REST)
                began = time.monotonic()
                await asyncio.to_thread(change, cluster, what)
                ended = time.monotonic()
                for size in SIZES:
                    rest, moving = (batches.p99_ms(size, *phase) for phase in ((rested, began), (began, ended)))
                    ratios[f"{len(ratios)} {what} {size}"] = moving / rest
                    print(f"{what}, {size} keys: p99 {rest:.0f} ms at rest, {moving:.0f} ms meanwhile")  # noqa: T201
                took = f"{ended - began:.0f} s, {batches.count(began, ended)} calls"
                print(f"{what}: {took}, longest {batches.longest_s(began, ended):.2f} s")  # noqa: T201

    asyncio.run(measure())

    assert set(batches.answers) == {"200"}, batches.answers
    assert batches.wrong == []
    assert shards_of(cluster) == ["s1", "s3", "s4"]
    assert max(ratios.values()) < TIMES_REST, ratios
