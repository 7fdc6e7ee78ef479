"""Two Redis servers that know nothing of each other: one of them fails in every way, and no request fails."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lane_cluster import LaneCluster, lane_cluster
from tests.faults.load import Load
from tests.faults.network import CUT, Condition, Treatment
from tests.faults.scenario import Scenario
from tests.redis_client import as_tarantkv

STALL_S = 1.0
FROZEN_STALL_S = 2.0

HALF_OPEN = Condition(requests=Treatment(swallow=True), answers=Treatment(swallow=True))
HELD = Condition(requests=Treatment(hold=True), answers=Treatment(hold=True))


@pytest.fixture(scope="session")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaneCluster]:
    with lane_cluster(tmp_path_factory.mktemp("lanes")) as made:
        yield made


@pytest.fixture
def lane_scenario(lanes: LaneCluster, request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    lanes.heal()
    return Scenario(request.node.name.removeprefix("test_"), lanes.cluster, tmp_path)


def test_a_killed_lane_fails_no_request(lane_scenario: Scenario, lanes: LaneCluster) -> None:
    async def fault(load: Load) -> None:
        await asyncio.to_thread(lanes.cluster.stop_program, lanes.redis(lanes.home()))
        await load.good(200)
        await asyncio.to_thread(lanes.cluster.start_program, lanes.redis(lanes.home()))

    run = lane_scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < STALL_S


@pytest.mark.long
def test_a_frozen_lane_fails_no_request_and_does_no_harm_when_it_wakes(
    lane_scenario: Scenario, lanes: LaneCluster
) -> None:
    async def fault(load: Load) -> None:
        program = lanes.redis(lanes.home())
        await asyncio.to_thread(lanes.cluster.kill, program, signal.SIGSTOP)
        try:
            await load.good(400)
            await asyncio.sleep(6)
        finally:
            await asyncio.to_thread(lanes.cluster.kill, program, signal.SIGCONT)

    run = lane_scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < FROZEN_STALL_S


@pytest.mark.long
def test_an_emptied_lane_fails_no_request(lane_scenario: Scenario, lanes: LaneCluster) -> None:
    async def fault(load: Load) -> None:
        with as_tarantkv(lanes.cluster, lane=lanes.home()) as client:
            for _ in range(8):
                await asyncio.to_thread(client.flushall)
                await load.good(20)

    run = lane_scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < STALL_S


@pytest.mark.long
@pytest.mark.parametrize("condition", [CUT, HALF_OPEN, HELD], ids=["cut", "half-open", "held"])
@pytest.mark.parametrize("whose", ["api", "workers", "both"])
def test_a_lane_that_is_cut_off_fails_no_request(
    lane_scenario: Scenario, lanes: LaneCluster, whose: str, condition: Condition
) -> None:
    home = lanes.home()
    links = {"api": [lanes.api[home]], "workers": [lanes.workers[home]], "both": lanes.links(home)}[whose]

    async def fault(load: Load) -> None:
        for link in links:
            await asyncio.to_thread(link.set, condition)
        try:
            await load.good(400)
            await asyncio.sleep(6)
        finally:
            for link in links:
                await asyncio.to_thread(link.heal)

    run = lane_scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < FROZEN_STALL_S
