"""Each process is frozen in turn, for longer than any request may take, and then continues its work."""

import asyncio

import pytest

from protocol.names import EPHEMERAL_TTL_S
from tests.faults.answers import DEADLINE_S
from tests.faults.injection import injected
from tests.faults.injections_processes import Frozen
from tests.faults.load import Load
from tests.faults.scenario import Scenario
from tests.faults.verdict import LATE_S
from worker.presence import DEAD_CONSUMER_IDLE_MS

FREEZE_S = DEADLINE_S + LATE_S
EXPIRED_S = max(EPHEMERAL_TTL_S, DEAD_CONSUMER_IDLE_MS / 1000) + 5.0


@pytest.mark.parametrize("target", ["workers", "redis", "shard-s1", pytest.param("shards", marks=pytest.mark.long)])
def test_a_process_frozen_past_every_deadline_breaks_no_promise_when_it_continues(
    scenario: Scenario, target: str
) -> None:
    async def fault(load: Load) -> None:
        async with injected(Frozen(target), scenario.cluster):
            await load.every_client_answered()

    run = scenario.run(fault)
    assert run.failures().keys() <= {"503", "504"}


def test_requests_that_reached_a_frozen_api_are_answered_when_it_continues(scenario: Scenario) -> None:
    async def fault(load: Load) -> None:
        async with injected(Frozen("api"), scenario.cluster):
            await load.every_client_waiting(FREEZE_S)

    run = scenario.run(fault, late_s=2 * LATE_S)
    assert run.failures().keys() <= {"503", "504"}


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", ["worker", "api", "redis", "shards"])
def test_a_process_frozen_past_every_expiry_breaks_no_promise_when_it_continues(
    scenario: Scenario, target: str
) -> None:
    """It is frozen past the expiry of its keys in Redis, and past the silence after which a worker counts as dead."""

    async def fault(_: Load) -> None:
        async with injected(Frozen(target), scenario.cluster):
            # There is no event after this time, because the keys that expire belong to the frozen process.
            await asyncio.sleep(EXPIRED_S)

    # Few clients: while a worker is frozen the other workers continue, and all calls are checked.
    run = scenario.run(fault, clients=2, late_s=EXPIRED_S)
    assert run.failures().keys() <= {"503", "504", "broken (SocketTimeoutError)"}
