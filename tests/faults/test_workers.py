"""Workers die, freeze and leave, under load."""

import asyncio
import signal
import time

import httpx
import redis

from localcluster.cluster import Cluster
from protocol.names import GROUP, shard_stream
from tests.faults.console import applied
from tests.faults.injection import injected
from tests.faults.injections_processes import WorkersChanging
from tests.faults.limits import felt_at_most
from tests.faults.load import Load, login
from tests.faults.processes import changes, in_hand, is_worker, reader, unread_bytes, wait_for
from tests.faults.scenario import Scenario

LONGEST_STALL_S = felt_at_most(3.0)
"""Far below the deadline of 5 s, even on a busy machine; docs/reliability.md has measured figures."""
WORKERS = 2
CHANGES = 4


def kill_with_frames_in_hand(cluster: Cluster, client: redis.Redis, *others: str) -> None:
    """Freeze the reader, wait until Redis has given it a frame, and kill it together with the other workers."""
    shards = [shard.name for shard in cluster.config.shards]
    name = reader(cluster)
    pids = {name: cluster.kill(name, signal.SIGSTOP)}
    wait_for(lambda: any(in_hand(client, shard, pids[name]) for shard in shards), "the worker was given nothing")
    pids |= {other: cluster.kill(other, signal.SIGSTOP) for other in others if other != name}
    for frozen in pids:
        cluster.kill(frozen)
    for frozen, pid in pids.items():
        cluster.wait_ended(frozen, pid)


def test_no_request_fails_when_a_worker_is_killed(scenario: Scenario, as_tarantkv: redis.Redis) -> None:
    async def fault(_: Load) -> None:
        await asyncio.to_thread(kill_with_frames_in_hand, scenario.cluster, as_tarantkv)

    run = scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < LONGEST_STALL_S


def test_no_request_fails_when_all_workers_are_killed(scenario: Scenario, as_tarantkv: redis.Redis) -> None:
    async def fault(_: Load) -> None:
        names = [status.name for status in scenario.cluster.status() if is_worker(status.name)]
        await asyncio.to_thread(kill_with_frames_in_hand, scenario.cluster, as_tarantkv, *names)

    assert scenario.run(fault).failures() == {}


def served_by(cluster: Cluster, client: redis.Redis) -> set[int]:
    """The worker processes that got frames, while requests to all shards are sent one after the other."""
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    began = time.monotonic()
    with httpx.Client(base_url=cluster.base_url, trust_env=False, headers={"Authorization": token}) as http:
        for _ in range(30):
            http.post("/api/read", json={"keys": [f"of any shard {number}" for number in range(30)]}).raise_for_status()
    since_ms = (time.monotonic() - began) * 1000
    served: set[int] = set()
    for shard in cluster.config.shards:
        for info in client.xinfo_consumers(shard_stream(shard.name), GROUP):
            # Redis 7.2 calls it inactive, earlier versions call it idle: how long a consumer has got no entries.
            if 0 <= info.get("inactive", info["idle"]) < since_ms:
                served.add(int(info["name"].split(b":")[-2]))
    return served


def test_one_of_two_workers_reads_and_the_other_reads_when_it_is_gone(
    mended: Cluster, as_tarantkv: redis.Redis
) -> None:
    name = reader(mended)
    pids = {status.name: mended.pid(status.name) for status in mended.status() if is_worker(status.name)}
    wait_for(lambda: served_by(mended, as_tarantkv) == {pids[name]}, "both workers read")
    mended.stop_program(name)
    try:
        wait_for(lambda: served_by(mended, as_tarantkv) == set(pids.values()) - {pids[name]}, "nobody else reads")
    finally:
        mended.start_program(name)


def test_no_change_is_applied_twice_when_a_worker_is_killed_between_call_and_answer(
    scenario: Scenario, as_tarantkv: redis.Redis
) -> None:
    """The shard gets the dead worker's call, and then another worker's call with the same chunks."""
    cluster = scenario.cluster
    shard = cluster.config.shards[0]
    applied_for_the_dead = 0

    def changes_in_hand(pid: int) -> set[bytes]:
        return changes(as_tarantkv, shard.name, in_hand(as_tarantkv, shard.name, pid))

    def strike() -> None:
        nonlocal applied_for_the_dead
        pids = {name: cluster.pid(name) for name in ("worker-1", "worker-2")}
        called: dict[str, int] = {}

        def one_has_called() -> bool:
            called.update((name, pid) for name, pid in pids.items() if unread_bytes(shard.port, pid))
            return any(map(changes_in_hand, called.values()))

        def frozen_with_a_change() -> bool:
            """Both workers' calls may contain only reads; then no further call would come."""
            called.clear()
            cluster.kill(f"shard-{shard.name}", signal.SIGSTOP)
            for _ in range(20):
                if one_has_called():
                    return True
            cluster.kill(f"shard-{shard.name}", signal.SIGCONT)
            return False

        wait_for(frozen_with_a_change, "no worker has called the shard with a change")
        name, pid = next((name, pid) for name, pid in called.items() if changes_in_hand(pid))
        cluster.kill(name, signal.SIGSTOP)
        ids = changes_in_hand(pid)
        cluster.kill(name)
        cluster.kill(f"shard-{shard.name}", signal.SIGCONT)
        wait_for(lambda: not changes_in_hand(pid), "nobody took over")
        applied_for_the_dead = sum(applied(cluster, shard.name, chunk_id) for chunk_id in ids)

    async def fault(_: Load) -> None:
        await asyncio.to_thread(strike)

    run = scenario.run(fault)
    assert applied_for_the_dead > 0
    assert run.failures() == {}


def test_no_request_fails_when_a_worker_is_stopped(scenario: Scenario, as_tarantkv: redis.Redis) -> None:
    cluster = scenario.cluster

    async def fault(load: Load) -> None:
        name = await asyncio.to_thread(reader, cluster)
        pid = cluster.pid(name)
        await asyncio.to_thread(cluster.stop_program, name)
        for shard in cluster.config.shards:
            assert in_hand(as_tarantkv, shard.name, pid) == set()
        await load.good(100)
        await asyncio.to_thread(cluster.start_program, name)

    run = scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < LONGEST_STALL_S


def test_a_worker_frozen_past_every_deadline_breaks_no_promise_when_it_continues(
    scenario: Scenario, as_tarantkv: redis.Redis
) -> None:
    """Another worker has taken its frames over and reported them, so its own report comes too late."""
    cluster = scenario.cluster

    def given(pid: int) -> set[bytes]:
        entries = (in_hand(as_tarantkv, shard.name, pid) for shard in cluster.config.shards)
        return set().union(*entries)

    async def fault(load: Load) -> None:
        name = await asyncio.to_thread(reader, cluster)
        pid = await asyncio.to_thread(cluster.kill, name, signal.SIGSTOP)
        await asyncio.to_thread(wait_for, lambda: bool(given(pid)), "the worker was given nothing")
        await asyncio.to_thread(wait_for, lambda: not given(pid), "nobody took over")
        await load.good(150)
        await asyncio.to_thread(cluster.kill, name, signal.SIGCONT)

    assert scenario.run(fault).failures() == {}


def test_no_request_fails_when_workers_are_added_and_removed_every_second(scenario: Scenario) -> None:
    changing = WorkersChanging()

    async def fault(_: Load) -> None:
        async with injected(changing, scenario.cluster):
            await asyncio.to_thread(wait_for, lambda: changing.changes >= CHANGES, "workers do not change", 30.0)

    run = scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < LONGEST_STALL_S
    assert scenario.cluster.workers() == WORKERS
