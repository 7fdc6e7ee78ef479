"""Each way in which a network can fail, between each pair of tiers, under load."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.faults.answers import DEADLINE_S
from tests.faults.asking import PLAIN
from tests.faults.injection import injected
from tests.faults.injections_network import KINDS, NetworkFault, pairs
from tests.faults.limits import felt_at_most
from tests.faults.load import HTTP_TIMEOUT_S, Load
from tests.faults.networked import Networked
from tests.faults.scenario import Scenario
from tests.faults.verdict import LATE_S, Run

LONG_FAULT_S = 8.0
"""Longer than any request may take."""

CLIENT_TIMEOUT_S = DEADLINE_S + 1.0
"""The time after which a client gives up an answer that lost some bytes."""

RECOVERY_S = felt_at_most(5.0)
"""Longer than any process waits for one answer of Redis or a shard before it gives up a connection that lost bytes."""

PAIRS = ("client-api", "api-redis", "worker-redis", "worker-shards", "worker-s2")

SHORT: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("client-api", "cut"): 1.5,
        ("api-redis", "half-open"): 3.5,
        ("api-redis", "damaged"): 3.5,
        ("worker-redis", "cut"): 1.5,
        ("worker-redis", "damaged"): 3.5,
        ("worker-shards", "half-open"): 3.5,
        ("worker-shards", "held"): 6.0,
        ("worker-shards", "damaged"): 3.5,
    }
)
"""How many seconds each of these faults lasts in every run. All faults, for a long time, take minutes together."""


def run(scenario: Scenario, networked: Networked, pair: str, kind: str, seconds: float) -> Run:
    fault = NetworkFault(pair, pairs(networked.network)[pair], kind)

    async def strike(_: Load) -> None:
        async with injected(fault, scenario.cluster):
            await asyncio.sleep(seconds)

    damaged = fault.damaged
    scenario.name = fault.name
    ours = pair == "client-api"
    garbled = ours and kind == "damaged"
    run = scenario.run(
        strike,
        base_url=networked.base_url if ours else None,
        garbled=garbled,
        http_timeout_s=CLIENT_TIMEOUT_S if garbled else HTTP_TIMEOUT_S,
        # No answer comes through a broken link in time.
        late_s=seconds if ours else LATE_S,
        # A key that lost some of its bytes is another key, and HTTP does not notice that.
        mix=replace(PLAIN, keyed=0) if garbled else None,
    )
    if kind == "damaged":
        assert fault.damaged > damaged
    return run


MATRIX = [
    *(pytest.param(pair, kind, seconds, id=f"{pair}-{kind}") for (pair, kind), seconds in SHORT.items()),
    *(
        pytest.param(pair, kind, LONG_FAULT_S, id=f"{pair}-{kind}-long", marks=pytest.mark.long)
        for pair in PAIRS
        for kind in KINDS
    ),
]


@pytest.mark.parametrize(("pair", "kind", "seconds"), MATRIX)
def test_a_network_fault_breaks_no_promise_and_the_system_recovers(
    networked_scenario: Scenario, networked: Networked, pair: str, kind: str, seconds: float
) -> None:
    before = processes(networked)
    result = run(networked_scenario, networked, pair, kind, seconds)
    seen = result.failures()
    if kind == "slow":
        assert seen == {}
    elif pair != "client-api":
        assert seen.keys() <= {"503", "504"}
    assert result.recovery_s < RECOVERY_S + (CLIENT_TIMEOUT_S if pair == "client-api" else 0)
    assert processes(networked) == before


def processes(networked: Networked) -> dict[str, int]:
    """The process ids of all programs: no process may end because of bytes from a network."""
    return {status.name: status.pid for status in networked.cluster.status()}
