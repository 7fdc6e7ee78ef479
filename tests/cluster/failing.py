"""Faults of instances of a cluster, and waiting for the recovery."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from clusterctl.cluster import ReplicatedCluster
from protocol.clock import now_ms
from tests.faults.load import Load

WITHIN_S = 30.0


def leader(cluster: ReplicatedCluster, shard: str, *, but: str | None = None) -> str:
    """The leader of a shard, when there is one other than `but`."""
    end = time.monotonic() + WITHIN_S
    while (found := cluster.leader(shard, but=but)) is None:
        assert time.monotonic() < end, f"nobody leads {shard}"
        time.sleep(0.05)
    return found


def instances(cluster: ReplicatedCluster, shard: str) -> list[str]:
    return [instance.name for instance in cluster.config.shards if instance.shard == shard]


def wait_all_follow(cluster: ReplicatedCluster) -> None:
    """Wait until every instance runs, and all but the leaders follow."""
    cluster.wait_running(timeout_s=WITHIN_S)
    end = time.monotonic() + WITHIN_S
    while any(said is None or not said["ready"] or said["silent"] for said in cluster.states().values()):
        assert time.monotonic() < end, f"not all instances hear from each other: {cluster.states()}"
        time.sleep(0.1)


@contextmanager
def frozen(cluster: ReplicatedCluster, names: Sequence[str]) -> Iterator[None]:
    """Instances that are frozen."""
    for name in names:
        cluster.kill(f"shard-{name}", signal.SIGSTOP)
    try:
        yield
    finally:
        for name in names:
            cluster.kill(f"shard-{name}", signal.SIGCONT)


async def kill_leader(cluster: ReplicatedCluster, shard: str, load: Load) -> None:
    """Kill a leader; returns when another one leads, the load continues, and the killed one follows again."""
    found = await asyncio.to_thread(leader, cluster, shard)
    cluster.kill(f"shard-{found}")
    await load.every_client_answered()
    await asyncio.to_thread(wait_all_follow, cluster)


async def freeze_leader(cluster: ReplicatedCluster, shard: str, load: Load) -> None:
    """Freeze a leader until another one leads and every client got an answer; then let it continue."""
    found = await asyncio.to_thread(leader, cluster, shard)
    with frozen(cluster, [found]):
        await asyncio.to_thread(leader, cluster, shard, but=found)
        await load.every_client_answered()
    await asyncio.to_thread(wait_all_follow, cluster)


def deadline_ms(seconds: float = 5.0) -> int:
    return now_ms() + int(seconds * 1000)
