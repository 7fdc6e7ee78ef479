"""A shard refuses a change while a worker or link holds another copy of it, and then has room again.

A change that was reported as `not_applied` must not happen, whatever happens to the other copy.
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.faults.asking import Mix
from tests.faults.console import keys_of
from tests.faults.doublings import SHARD, doublings
from tests.faults.injection import Injection, injected
from tests.faults.injections_shards import DiskFull, MemoryFull, ReadOnlyShard
from tests.faults.load import Load
from tests.faults.networked import Networked
from tests.faults.scenario import Scenario

CLIENTS = 10
KEYS = 60
MIX = Mix(write=0.35, read=0.5, delete=0.15, batches=0.1, keyed=0.2)
"""Few changes and many keys: a late change is read before it is replaced."""

REFUSALS = [MemoryFull, DiskFull, ReadOnlyShard]
DOUBLINGS = ["frozen-worker", "sent-again", "redis-emptied", "slow-link", "killed-worker", "old-frames"]
SHORT = {
    *((MemoryFull, doubling) for doubling in ("frozen-worker", "redis-emptied", "slow-link", "old-frames")),
    (DiskFull, "killed-worker"),
    (ReadOnlyShard, "sent-again"),
}
"""The pairs of each run: every refusal and every doubling. All other pairs are marked `long`."""


@pytest.mark.parametrize(
    ("refusal", "doubling"),
    [
        pytest.param(
            refusal,
            doubling,
            id=f"{refusal.__name__}-{doubling}",
            marks=[] if (refusal, doubling) in SHORT else [pytest.mark.long],
        )
        for refusal in REFUSALS
        for doubling in DOUBLINGS
    ],
)
def test_a_change_that_was_refused_is_not_applied_later(
    networked_scenario: Scenario, networked: Networked, refusal: Callable[[str], Injection], doubling: str
) -> None:
    scenario, cluster = networked_scenario, networked_scenario.cluster
    scenario.name = f"{refusal(SHARD).name}-{doubling}"
    fault_of_copies = doublings(networked.network)[doubling]

    async def fault(load: Load) -> None:
        try:
            await asyncio.to_thread(fault_of_copies.begin, cluster)
            async with injected(refusal(SHARD), cluster):
                answered = asyncio.create_task(load.every_client_answered())
                await asyncio.to_thread(fault_of_copies.while_refused, cluster)
                await answered
            await asyncio.to_thread(fault_of_copies.release, cluster)
            await load.good(KEYS)
        finally:
            await asyncio.to_thread(fault_of_copies.end, cluster)

    keys = keys_of(cluster, SHARD, scenario.name, KEYS)
    run = scenario.run(fault, before=30, after=60, clients=CLIENTS, mix=MIX, keys=keys, refusals=True)
    assert run.failures().keys() <= {"500", "503", "504"}
