"""Redis fails in every way, under load. It stores nothing on disk: a restart loses all its data."""

import asyncio
import signal
import time

import redis

from localcluster.cluster import Cluster
from protocol.names import alive_key, shard_stream
from tests.faults.limits import felt_at_most
from tests.faults.load import Load, login
from tests.faults.processes import wait_for
from tests.faults.scenario import Scenario

BACK_WITHIN_S = felt_at_most(2.0)


def test_no_request_fails_when_redis_is_killed_and_restarted_empty(scenario: Scenario) -> None:
    cluster = scenario.cluster
    away_s = 0.0

    def kill() -> None:
        nonlocal away_s
        killed = time.monotonic()
        pid = cluster.kill("redis")
        cluster.wait_ended("redis", pid)
        cluster.wait_running("redis")
        away_s = time.monotonic() - killed

    async def fault(_: Load) -> None:
        await asyncio.to_thread(kill)

    run = scenario.run(fault)
    assert away_s < BACK_WITHIN_S
    assert run.failures() == {}


def test_no_request_fails_when_redis_loses_its_data_on_live_connections(
    scenario: Scenario, as_tarantkv: redis.Redis
) -> None:
    async def fault(load: Load) -> None:
        for _ in range(8):
            await asyncio.to_thread(as_tarantkv.flushall)
            await load.good(20)

    assert scenario.run(fault).failures() == {}


def test_frames_appended_before_any_worker_creates_its_group_again_are_not_lost(
    scenario: Scenario, as_tarantkv: redis.Redis
) -> None:
    cluster = scenario.cluster
    workers = [status.name for status in cluster.status() if status.name.startswith("worker-")]
    before: list[object] = []

    def look() -> tuple[bool, list[object]]:
        """Whether the api has noticed, and the newest frame of each shard, at one moment: it sends again right after.

        Sending again takes as many frames away as it adds.
        """
        with as_tarantkv.pipeline(transaction=True) as together:
            together.keys(alive_key("*"))
            for shard in cluster.config.shards:
                together.xrevrange(shard_stream(shard.name), count=1)
            alive, *newest = together.execute()
        return bool(alive), newest

    def sent_again() -> bool:
        """Sending again is the last action of the api: until an answer comes, every client waits."""
        nonlocal before
        noticed, newest = look()
        if noticed:
            return newest != before
        before = newest
        return False

    def strike() -> None:
        for name in workers:
            cluster.kill(name, signal.SIGSTOP)
        try:
            as_tarantkv.flushall()
            wait_for(sent_again, "the api has sent nothing again")
        finally:
            for name in workers:
                cluster.kill(name, signal.SIGCONT)

    async def fault(_: Load) -> None:
        await asyncio.to_thread(strike)

    assert scenario.run(fault).failures() == {}


def test_no_request_fails_when_connections_are_killed(scenario: Scenario, as_administrator: redis.Redis) -> None:
    async def fault(load: Load) -> None:
        for _ in range(3):
            killed = await asyncio.to_thread(as_administrator.client_kill_filter, _type="normal", skipme=True)
            assert killed > 0
            await load.good(50)

    assert scenario.run(fault).failures() == {}


def test_a_login_succeeds_after_redis_was_restarted(mended: Cluster) -> None:
    login(mended.base_url, mended.admin_user, mended.admin_password)
    pid = mended.kill("redis")
    mended.wait_ended("redis", pid)
    mended.wait_running("redis")
    mended.wait_ready()
    assert login(mended.base_url, mended.admin_user, mended.admin_password)
