"""Each way in which a network can fail, between each two tiers, under load."""

import asyncio

import pytest

from tests.faults.injection import injected
from tests.faults.injections_network import KINDS, NetworkFault, pairs
from tests.faults.load import DEADLINE_S, HTTP_TIMEOUT_S, Load, Mix
from tests.faults.networked import Networked
from tests.faults.scenario import Run, Scenario

FAULT_S = 3.5
"""Longer than anybody waits for one answer of Redis or a shard: then connections are given up while it lasts."""

CLIENT_TIMEOUT_S = DEADLINE_S + 1.0
"""When a client gives up an answer that lost some of its bytes."""

RECOVERY_S = 4.0
PAIRS = ("client-api", "api-redis", "worker-redis", "worker-shards", "worker-s2")

SHORT = {
    ("client-api", "cut"),
    ("api-redis", "half-open"),
    ("api-redis", "damaged"),
    ("worker-redis", "cut"),
    ("worker-redis", "held"),
    ("worker-redis", "damaged"),
    ("worker-shards", "half-open"),
    ("worker-shards", "held"),
    ("worker-shards", "damaged"),
}
"""The others need minutes together."""


def run(scenario: Scenario, networked: Networked, pair: str, kind: str, fault_s: float = FAULT_S) -> Run:
    fault = NetworkFault(pair, pairs(networked.network)[pair], kind)

    async def strike(_: Load) -> None:
        async with injected(fault, scenario.cluster):
            await asyncio.sleep(fault_s)

    damaged = fault.damaged
    scenario.name = fault.name
    ours = pair == "client-api"
    garbled = ours and kind == "damaged"
    run = scenario.run(
        strike,
        base_url=networked.base_url if ours else None,
        garbled=garbled,
        http_timeout_s=CLIENT_TIMEOUT_S if garbled else HTTP_TIMEOUT_S,
        # A key that lost some of its bytes is another key, and HTTP does not tell.
        mix=Mix(keyed=0) if garbled else None,
    )
    if kind == "damaged":
        assert fault.damaged > damaged
    return run


MATRIX = [
    pytest.param(pair, kind, marks=() if (pair, kind) in SHORT else pytest.mark.long)
    for pair in PAIRS
    for kind in KINDS
]


@pytest.mark.parametrize(("pair", "kind"), MATRIX)
def test_a_network_fault_breaks_no_promise_and_is_recovered_from(
    networked_scenario: Scenario, networked: Networked, pair: str, kind: str
) -> None:
    result = run(networked_scenario, networked, pair, kind)
    seen = result.failures()
    if kind == "slow":
        assert seen == {}
    elif pair != "client-api":
        assert seen.keys() <= {"503", "504"}
    assert result.recovery_s < RECOVERY_S
