"""Changes under an `Idempotency-Key` while buckets move are applied once, wherever their records are."""

import asyncio
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.faults.asking import Mix
from tests.faults.console import keys_of
from tests.faults.copies import copies
from tests.faults.load import Load, login
from tests.faults.mover import Mover, applications_by_bucket, mover, recording_by_bucket, wandering_beside
from tests.faults.processes import unread_bytes, wait_for
from tests.faults.scenario import Scenario

MOVES = 25
KILLS = 2
MIX = Mix(write=0.3, read=0.2, delete=0.1, increment=0.35, keyed=0.9, again=0.5)


@pytest.fixture
def moved(scenario: Scenario) -> Iterator[Mover]:
    with mover(scenario.cluster) as made, recording_by_bucket(made):
        yield made


def test_retries_after_the_api_has_died_find_the_applied_records_wherever_the_buckets_are(
    scenario: Scenario, moved: Mover
) -> None:
    """Meanwhile every frame is delivered twice."""
    cluster = scenario.cluster

    async def fault(load: Load) -> None:
        with copies(cluster):
            async with wandering_beside(moved, moved.buckets(scenario.keys)):
                for _ in range(KILLS):
                    await load.good(30)
                    pid = await asyncio.to_thread(cluster.kill, "api")
                    await asyncio.to_thread(cluster.wait_ended, "api", pid)
                    await asyncio.to_thread(cluster.wait_running, "api")
                while moved.moves < MOVES:
                    await load.good(10)

    run = scenario.run(fault, before=20, after=40, mix=MIX)
    retried = [call for call in run.calls if call.idempotency_key and len(call.answers) > 1]
    assert retried
    assert all(call.succeeded for call in retried)
    counts = applications_by_bucket(moved)
    assert len(counts) > 100
    assert {bucket: count for bucket, count in counts.items() if count > 1} == {}


def test_a_retry_after_a_move_gets_the_first_outcome(scenario: Scenario, moved: Mover) -> None:
    """The api dies while the shard applies the first attempt. One of two buckets moves: the keys are grouped anew."""
    cluster, shard = scenario.cluster, "s1"
    counters = keys_of(cluster, shard, scenario.name, 2)
    (retry_key,) = keys_of(cluster, "s2", f"{scenario.name}-retry", 1)
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    workers = [cluster.pid(name) for name in ("worker-1", "worker-2")]
    with httpx.Client(base_url=cluster.base_url, trust_env=False, timeout=20) as client:
        client.headers["Authorization"] = f"Bearer {token}"

        def increment(**headers: str) -> httpx.Response:
            return client.post(
                "/api/increment", json={"data": dict.fromkeys(counters, 1)}, headers={"Connection": "close", **headers}
            )

        keyed = {"Idempotency-Key": retry_key}
        assert increment().json() == {"data": dict.fromkeys(counters, 1)}
        before = len(applications_by_bucket(moved))
        with ThreadPoolExecutor(1) as other:
            cluster.kill(f"shard-{shard}", signal.SIGSTOP)
            first = other.submit(increment, **keyed)
            wait_for(
                lambda: any(unread_bytes(cluster.config.shards[0].port, pid) for pid in workers),
                "the shard was not called",
            )
            dead = cluster.kill("api")
            with pytest.raises(httpx.TransportError):
                first.result()
            cluster.kill(f"shard-{shard}", signal.SIGCONT)
        applied = before + len(counters)
        wait_for(lambda: len(applications_by_bucket(moved)) == applied, "the first try was not applied")
        moved.move(moved.buckets(counters[:1]), "s3")
        cluster.wait_ended("api", dead)
        cluster.wait_ready()
        for _ in range(2):
            assert increment(**keyed).json() == {"data": dict.fromkeys(counters, 2)}
        assert increment().json() == {"data": dict.fromkeys(counters, 3)}


@pytest.mark.usefixtures("moved")
def test_each_of_several_tags_is_tried_under_one_idempotency_key(scenario: Scenario) -> None:
    """The refusal of the first tag is recorded under the key's bucket, and must not be the answer to the second tag."""
    cluster = scenario.cluster
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    with httpx.Client(base_url=cluster.base_url, trust_env=False, timeout=20) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        path = f"/api/keys/{scenario.name}-tags"
        stored = client.put(path, json=1)
        tags = f'"1", "2", {stored.headers["etag"]}'
        headers = {"Idempotency-Key": f"{scenario.name}-tags", "If-Match": tags}
        first = client.put(path, json=2, headers=headers)
        assert first.status_code == 200, first.text
        again = client.put(path, json=2, headers=headers)
        assert (again.status_code, again.headers["etag"]) == (200, first.headers["etag"])
        assert client.get(path).json() == 2
