"""Every program of a cluster is restarted in the published order, one after the other: no request fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterctl.engine import Engine
from tests.cluster.failing import instances, leader, wait_all_follow
from tests.cluster.machines import APIS, PlacedCluster, running
from tests.cluster.network import why_not
from tests.cluster.test_failover import told
from tests.cluster.test_machine_gone import balanced
from tests.faults.limits import felt_at_most
from tests.faults.load import Load
from tests.faults.scenario import Scenario
from tests.interop.proxies import program

LANES_APART_S = 6.0
"""A shard returns to its lane after 5 s: before that another lane must not fail."""

STALL_S = felt_at_most(2.0)

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed"),
    pytest.mark.skipif(why_not() is not None, reason=f"{why_not()}"),
]


@pytest.fixture
def cluster(engine: Engine, tmp_path: Path) -> Iterator[PlacedCluster]:
    with running(tmp_path / "data", engine) as cluster:
        yield cluster


def restart_shard(cluster: PlacedCluster, shard: str) -> None:
    """Restart its followers, each when the previous one follows again, and then its leader."""
    leading = leader(cluster, shard)
    for instance in sorted(instances(cluster, shard), key=lambda name: name == leading):
        cluster.restart(f"shard-{instance}")
        wait_all_follow(cluster)


def test_no_request_fails_when_one_program_after_the_other_is_restarted(cluster: PlacedCluster, tmp_path: Path) -> None:
    async def fault(load: Load) -> None:
        for shard in cluster.config.plan:
            await asyncio.to_thread(restart_shard, cluster, shard.name)
            await load.every_client_answered()
        for name in [*(f"worker-{machine}" for machine in cluster.network.machines), *APIS]:
            await asyncio.to_thread(cluster.restart, name)
            await load.every_client_answered()
        for name in cluster.config.redis_names:
            await asyncio.to_thread(cluster.restart, name)
            ends = time.monotonic() + LANES_APART_S
            while time.monotonic() < ends:
                await load.good(20)

    with balanced(cluster, tmp_path / "nginx") as (url, _):
        run = Scenario("rolling_restart", cluster, tmp_path).run(fault, base_url=url)

    print(told(run))  # noqa: T201
    assert run.failures() == {}, told(run)
    assert run.stall_s() < STALL_S, told(run)
