"""A shard gets another instance, and a replacement for a lost one, while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterctl import replicas
from clusterctl.changes import storages
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_membership, of_tests, remembered
from clusterctl.engine import Engine
from localcluster.waiting import ClusterError
from tests.cluster.failing import instances, leader, wait_all_follow
from tests.faults.load import Load
from tests.faults.scenario import Scenario

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def cluster(engine: Engine, tmp_path: Path) -> Iterator[ReplicatedCluster]:
    """One shard of three instances."""
    cluster = ReplicatedCluster(
        of_tests(tmp_path / "data", engine, shards=1, settings={"TARANTKV_BUCKET_COUNT": "300"})
    )
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def counted(cluster: ReplicatedCluster) -> set[str]:
    """The instances of which a majority must have a change."""
    return set(storages(cluster).members("s1").registered)


def lose(cluster: ReplicatedCluster, name: str) -> None:
    """Lose an instance's machine with its data."""
    cluster.stop_program(f"shard-{name}")
    (shard,) = [each for each in cluster.config.shards if each.name == name]
    for file in cluster.layout.shard_dir(shard).rglob("*.snap"):
        file.unlink()


def test_no_request_fails_when_instances_are_added_and_replaced(cluster: ReplicatedCluster, tmp_path: Path) -> None:
    now = cluster
    scenario = Scenario("replicas", cluster, tmp_path)

    async def fault(load: Load) -> None:
        nonlocal now
        now = await asyncio.to_thread(replicas.add, now, "s1", print)
        assert counted(now) == {"s1-1", "s1-2", "s1-3", "s1-4"}
        await load.every_client_answered()
        lost = next(name for name in instances(now, "s1") if name != now.leader("s1"))
        await asyncio.to_thread(lose, now, lost)
        now = await asyncio.to_thread(replicas.replace_lost, now, lost, print)
        assert counted(now) == {"s1-1", "s1-2", "s1-3", "s1-4", "s1-5"} - {lost}
        await load.every_client_answered()
        leading = await asyncio.to_thread(leader, now, "s1")
        now = await asyncio.to_thread(replicas.replace_lost, now, leading, print)
        assert counted(now) == {"s1-1", "s1-2", "s1-3", "s1-4", "s1-5", "s1-6"} - {lost, leading}
        assert {status.name for status in now.status()} >= {f"shard-{name}" for name in counted(now)}
        await load.every_client_answered()
        # The lost instances cannot be asked what they applied.
        scenario.cluster = now

    run = scenario.run(fault)

    assert run.failures() == {}
    wait_all_follow(now)
    assert len({said["keys"] for said in now.states().values() if said is not None}) == 1
    now.stop()
    now.start()
    counted_then = counted(now)
    now.stop()
    assert counted_then == set(instances(now, "s1"))


def test_a_change_that_would_lose_the_quorum_is_refused_and_an_interrupted_one_continues(
    cluster: ReplicatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (name for name in instances(cluster, "s1") if name != leader(cluster, "s1"))
    lose(cluster, first)
    with pytest.raises(ClusterError, match=f"without {second} 2 of the other instances of s1 must run"):
        replicas.replace_lost(cluster, second, print)
    with pytest.raises(ClusterError, match=f"s1: {first} is down"):
        replicas.add(cluster, "s1", print)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step in ("_take_out", "_join", "_wait_out"):
        monkeypatch.setattr(replicas, step, killed)
        with pytest.raises(KeyboardInterrupt):
            replicas.replace_lost(cluster, first, print)
        monkeypatch.undo()
        membership = remembered(cluster.config.data_dir)
        assert membership is not None
        cluster = ReplicatedCluster(of_membership(cluster.config, membership))
        with pytest.raises(ClusterError, match=f"{first} is being replaced: finish that with make replica-replace"):
            replicas.add(cluster, "s1", print)
    cluster = replicas.replace_lost(cluster, first, print)

    assert counted(cluster) == {"s1-1", "s1-2", "s1-3", "s1-4"} - {first}
    wait_all_follow(cluster)
