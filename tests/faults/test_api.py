"""The api dies under load; clients that retry with their `Idempotency-Key` get each outcome once."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.faults.asking import Mix
from tests.faults.console import keys_of, stored
from tests.faults.load import Load, login
from tests.faults.processes import unread_bytes, wait_for
from tests.faults.scenario import Scenario


def test_no_change_is_lost_when_an_api_is_killed_and_retries_succeed(scenario: Scenario) -> None:
    cluster = scenario.cluster

    async def fault(load: Load) -> None:
        for _ in range(2):
            pid = await asyncio.to_thread(cluster.kill, "api")
            await asyncio.to_thread(cluster.wait_ended, "api", pid)
            await asyncio.to_thread(cluster.wait_running, "api")
            await load.good(100)

    run = scenario.run(fault, mix=Mix(keyed=0.7))
    retried = [call for call in run.calls if call.idempotency_key and len(call.answers) > 1]
    assert retried
    assert all(call.succeeded for call in retried)


def test_a_retry_gets_the_outcome_of_a_change_that_was_applied_after_the_api_had_died(mended: Cluster) -> None:
    """The shard reads the call of the first attempt when the api is already dead."""
    cluster = mended
    shard, port = "s1", cluster.config.shards[0].port
    (key,) = keys_of(cluster, shard, "outlived", 1)
    # The claim must not wait for the same shard.
    (retry_key,) = keys_of(cluster, "s2", "retry", 1)
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    workers = [cluster.pid(name) for name in ("worker-1", "worker-2")]

    with httpx.Client(base_url=cluster.base_url, trust_env=False, timeout=20) as client:
        client.headers["Authorization"] = f"Bearer {token}"

        def delete() -> httpx.Response:
            headers = {"Idempotency-Key": retry_key, "Connection": "close"}
            return client.post("/api/delete", json={"keys": [key]}, headers=headers)

        assert client.post("/api/write", json={"data": {key: 1}}).status_code == 200
        with ThreadPoolExecutor(1) as other:
            cluster.kill(f"shard-{shard}", signal.SIGSTOP)
            first = other.submit(delete)
            wait_for(lambda: any(unread_bytes(port, pid) for pid in workers), "the shard was not called")
            dead = cluster.kill("api")
            with pytest.raises(httpx.TransportError):
                first.result()
            cluster.kill(f"shard-{shard}", signal.SIGCONT)
        wait_for(lambda: not stored(cluster, shard, key), "the first try was not applied")
        cluster.wait_ended("api", dead)
        cluster.wait_ready()
        retried = delete()
    assert retried.json() == {"status": "success", "deleted": 1}
