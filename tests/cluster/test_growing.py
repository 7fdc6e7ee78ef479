"""A shard is added and drained under load, even if the command is killed, and leaders fail while buckets move."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clusterctl import growth
from clusterctl.changes import storages
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_membership, of_tests, remembered
from clusterctl.engine import Engine
from clusterctl.moving import MovesError, move_all
from clusterctl.rebalance import Progress
from protocol.stopping import Stop
from tests.cluster.failing import freeze_leader, kill_leader, wait_all_follow
from tests.cluster.test_failover import told
from tests.faults.load import Load
from tests.faults.scenario import Scenario
from tests.faults.verdict import applied_twice

ROUNDS = int(os.environ.get("MOVES_ROUNDS", "1"))
"""How many leaders are killed, and how many are frozen, while buckets move."""

BUCKETS = 300
LONGEST_S = 3.0
WHILE_S = 60.0

COMMAND = """
import pickle, sys, threading
from pathlib import Path
from clusterctl import growth
from clusterctl.cluster import ReplicatedCluster
growth._SAY_EVERY_S = 0
config = pickle.loads(Path(sys.argv[1]).read_bytes())
say = lambda text: print(text, flush=True)
cluster = ReplicatedCluster(config)
if sys.argv[2] == "add":
    growth.add(cluster, threading.Event(), say)
else:
    growth.drain(cluster, "s3", threading.Event(), say)
"""

pytestmark = pytest.mark.timeout(300 + 60 * ROUNDS)


@pytest.fixture
def cluster(engine: Engine, tmp_path: Path) -> Iterator[ReplicatedCluster]:
    """Two shards of three instances, with few buckets: all of them move within seconds."""
    settings = {"TARANTKV_BUCKET_COUNT": str(BUCKETS)}
    cluster = ReplicatedCluster(of_tests(tmp_path / "data", engine, settings=settings))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def today(cluster: ReplicatedCluster) -> ReplicatedCluster:
    """The cluster with the shards in its state file."""
    membership = remembered(cluster.config.data_dir)
    assert membership is not None
    return ReplicatedCluster(of_membership(cluster.config, membership))


def processes(cluster: ReplicatedCluster) -> dict[str, int]:
    return {status.name: status.pid for status in cluster.status()}


def run_command(cluster: ReplicatedCluster, command: str, *, killed_at: int = 0) -> None:
    """Run `add` or `drain` as a process of its own; kill it when this many buckets have moved."""
    config = cluster.config.data_dir / "config.pickle"
    config.write_bytes(pickle.dumps(today(cluster).config))
    arguments = [sys.executable, "-c", COMMAND, str(config), command]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            moved = re.match(r"(\d+) of (\d+) buckets", line)
            if moved is not None and killed_at and int(moved[1]) >= killed_at:
                process.kill()
    assert (process.returncode != 0) == bool(killed_at), f"{command} ended with {process.returncode}"


@contextmanager
def wandering(cluster: ReplicatedCluster) -> Iterator[list[int]]:
    """Buckets move to the third shard and back during this block; yields how many have moved."""
    stop, moved = Stop(), [0]
    every = storages(cluster)

    def count(progress: Progress) -> None:
        moved[0] += progress.done > 0

    def wander() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            try:
                move_all(every, {"s1": 1.0, "s2": 1.0, "s3": float(turn % 2)}, BUCKETS, stop, count)
            except MovesError:
                # If an instance is down, the run ends, and is started again, as an operator would.
                stop.wait(0.5)

    thread = threading.Thread(target=wander)
    thread.start()
    try:
        yield moved
    finally:
        stop.set()
        thread.join(WHILE_S)


def test_a_shard_is_added_and_drained_even_if_the_command_was_killed(
    cluster: ReplicatedCluster, tmp_path: Path
) -> None:
    async def fault(load: Load) -> None:
        for command in ("add", "drain"):
            await asyncio.to_thread(run_command, cluster, command, killed_at=BUCKETS // 10)
            before = processes(cluster)
            await asyncio.to_thread(run_command, cluster, command)
            now = today(cluster)
            now.check_map(WHILE_S)
            owned = {name: len(storages(now).buckets(name).owned) for name in storages(now).names}
            third = {"add": {"s3": BUCKETS // 3}, "drain": {}}[command]
            assert owned == {**dict.fromkeys(("s1", "s2"), (BUCKETS - sum(third.values())) // 2), **third}
            stayed = processes(now)
            assert {name: before[name] for name in stayed} == stayed, "an instance ended meanwhile"
            assert list(applied_twice(now)) == []
            await load.good(50)

    run = Scenario("growing", cluster, tmp_path).run(fault)

    print(told(run))  # noqa: T201
    assert run.failures() == {}, told(run)
    assert [shard.name for shard in today(cluster).config.plan] == ["s1", "s2"]


def test_no_request_fails_when_leaders_fail_while_buckets_move(cluster: ReplicatedCluster, tmp_path: Path) -> None:
    growth.add(cluster, Stop(), print)
    grown = today(cluster)
    chosen = random.Random(os.environ.get("MOVES_SEED", "1"))

    async def fault(load: Load) -> None:
        with wandering(grown) as moved:
            for number in range(2 * ROUNDS):
                strike = (kill_leader, freeze_leader)[number % 2]
                async with asyncio.timeout(WHILE_S):
                    seen = moved[0]
                    while moved[0] < seen + 5:
                        await load.good(5)
                await strike(grown, chosen.choice(["s1", "s2", "s3"]), load)

    run = Scenario("failing_while_moving", grown, tmp_path).run(fault)

    print(told(run))  # noqa: T201
    wait_all_follow(grown)
    grown.check_map(WHILE_S)
    assert run.failures() == {}, told(run)
    assert run.stall_s() < LONGEST_S, told(run)
