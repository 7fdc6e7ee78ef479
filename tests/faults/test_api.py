"""The api dies under load; clients that retry with their `Idempotency-Key` need to know nothing about it."""

import asyncio

from tests.faults.load import Load, Mix
from tests.faults.scenario import Scenario


def test_a_killed_api_loses_nothing_and_retries_succeed(scenario: Scenario) -> None:
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
