"""A shard dies under load, and restarts at once or after some time."""

import asyncio
import time

import redis

from tests.faults.asking import Mix
from tests.faults.console import keys_of
from tests.faults.history import Call
from tests.faults.injection import injected
from tests.faults.injections_processes import Killed, kill_for_good
from tests.faults.limits import felt_at_most
from tests.faults.load import Load
from tests.faults.processes import in_hand, wait_for
from tests.faults.scenario import Scenario, report

RECOVERY_S = felt_at_most(2.0)
LONGEST_STALL_S = felt_at_most(2.5)
"""For calls to other shards: a look-up of the user may wait half a second for a second answer."""


def test_no_request_fails_when_a_shard_is_killed_and_restarts_at_once(scenario: Scenario) -> None:
    cluster = scenario.cluster

    def kill() -> None:
        pid = cluster.kill("shard-s1")
        cluster.wait_ended("shard-s1", pid)
        cluster.wait_running("shard-s1")

    async def fault(_: Load) -> None:
        await asyncio.to_thread(kill)

    assert scenario.run(fault).failures() == {}


def test_all_killed_shards_restart_with_every_acknowledged_write(scenario: Scenario) -> None:
    async def fault(_: Load) -> None:
        async with injected(Killed("shards"), scenario.cluster):
            pass

    assert scenario.run(fault).failures() == {}


def test_only_the_keys_of_a_dead_shard_fail_and_it_recovers_within_two_seconds(scenario: Scenario) -> None:
    cluster = scenario.cluster
    dead = set(keys_of(cluster, "s2", scenario.name, 8))
    others = [key for shard in ("s1", "s3") for key in keys_of(cluster, shard, scenario.name, 8)]
    went = back = 0.0

    async def fault(load: Load) -> None:
        nonlocal went, back
        went = time.monotonic()
        await asyncio.to_thread(kill_for_good, cluster, "shard-s2")
        # Every client may be waiting for the dead shard: one answer to each ends this.
        await load.until(lambda call: not call.succeeded, calls=8)
        await asyncio.to_thread(cluster.start_program, "shard-s2")
        await asyncio.to_thread(cluster.wait_running, "shard-s2")
        back = time.monotonic()

    # Keys one by one, so that each call concerns one shard; the claim of an Idempotency-Key may stand on any.
    run = scenario.run(fault, clients=16, mix=Mix(batches=0, keyed=0), keys=[*dead, *others])
    mine = [call for call in run.calls if call.keys[0] in dead and len(call.keys) == 1]
    theirs = [call for call in run.calls if call.keys[0] not in dead]
    failed = [call for call in mine if not call.succeeded]
    assert run.failures(theirs) == {}
    assert run.stall_s(theirs) < LONGEST_STALL_S
    assert run.failures(mine).keys() <= {"503", "504"}
    assert all(went < call.answered for call in failed)
    assert recovery_s(mine, back) < RECOVERY_S
    # On a shared machine these times are only reported, not checked.
    before = [call for call in theirs if call.answered <= run.struck]
    during = [call for call in theirs if run.struck < call.called and call.answered < run.healed]
    report({"p99": {"before_ms": p99_ms(before), "during_ms": p99_ms(during), "calls": len(during)}})


def p99_ms(calls: list[Call]) -> float:
    waits = sorted(call.longest_s for call in calls)
    return round(waits[len(waits) * 99 // 100] * 1000, 1)


def recovery_s(calls: list[Call], back: float) -> float:
    """From the shard's return until the first call that succeeds on it."""
    return min(call.answered for call in calls if call.succeeded and call.answered > back) - back


def test_no_change_is_lost_or_doubled_when_redis_is_emptied_while_a_shard_is_down(
    scenario: Scenario, as_tarantkv: redis.Redis
) -> None:
    """Workers hold frames that do not exist any more, and the api sends their chunks again."""
    cluster = scenario.cluster

    async def fault(load: Load) -> None:
        workers = [cluster.pid(name) for name in ("worker-1", "worker-2")]
        await asyncio.to_thread(kill_for_good, cluster, "shard-s3")
        await asyncio.to_thread(
            wait_for, lambda: any(in_hand(as_tarantkv, "s3", pid) for pid in workers), "no worker was given anything"
        )
        await asyncio.to_thread(as_tarantkv.flushall)
        await load.until(lambda call: not call.succeeded or len(call.answers) > 1)
        await asyncio.to_thread(cluster.start_program, "shard-s3")
        await asyncio.to_thread(cluster.wait_running, "shard-s3")
        assert [cluster.pid(name) for name in ("worker-1", "worker-2")] == workers

    run = scenario.run(fault)
    assert run.failures().keys() <= {"503", "504"}
