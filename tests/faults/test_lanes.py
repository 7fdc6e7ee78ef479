"""Two lanes: one of their Redis servers fails in every way, and no request fails."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.answers import DEADLINE_S
from tests.faults.lane_cluster import LaneCluster, lane_cluster
from tests.faults.limits import felt_at_most
from tests.faults.load import Load, login
from tests.faults.network import CUT, Condition, Treatment
from tests.faults.scenario import Scenario
from tests.redis_client import as_tarantkv

STALL_S = felt_at_most(1.0)
FROZEN_STALL_S = felt_at_most(2.0)

PAST_DEADLINES_S = DEADLINE_S + 1.0

HALF_OPEN = Condition(requests=Treatment(swallow=True), answers=Treatment(swallow=True))
DEAF = Condition(answers=Treatment(swallow=True))
HELD = Condition(requests=Treatment(hold=True), answers=Treatment(hold=True))


@pytest.fixture(scope="session")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaneCluster]:
    with lane_cluster(tmp_path_factory.mktemp("lanes")) as made:
        yield made


@pytest.fixture
def lane_scenario(lanes: LaneCluster, request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    lanes.heal()
    lanes.wait_home()
    return Scenario(request.node.name.removeprefix("test_"), lanes.cluster, tmp_path)


def test_no_request_or_login_fails_when_a_lane_is_killed_and_its_shards_return_to_it(
    lane_scenario: Scenario, lanes: LaneCluster
) -> None:
    cluster, program = lanes.cluster, lanes.redis(lanes.home())

    def kill() -> None:
        cluster.kill(program)
        cluster.stop_program(program)
        for _ in range(2):
            login(cluster.base_url, cluster.admin_user, cluster.admin_password)

    async def fault(load: Load) -> None:
        await asyncio.to_thread(kill)
        await load.good(30)
        await asyncio.to_thread(cluster.start_program, program)

    run = lane_scenario.run(fault, before=20, after=20, clients=4)
    assert run.failures() == {}
    assert run.stall_s() < STALL_S
    lanes.wait_home()


@pytest.mark.long
def test_no_request_fails_when_a_lane_is_killed_repeatedly(lane_scenario: Scenario, lanes: LaneCluster) -> None:
    cluster = lanes.cluster

    def kill(program: str) -> None:
        pid = cluster.kill(program)
        cluster.wait_ended(program, pid)
        cluster.wait_running(program)

    async def fault(load: Load) -> None:
        for turn in range(10):
            await asyncio.to_thread(kill, lanes.redis(turn % 2))
            await load.good(50)

    run = lane_scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < STALL_S


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("frozen_s", [1.5, 6.0], ids=["within", "past"])
def test_a_lane_frozen_within_and_past_the_deadlines_breaks_no_promise_when_it_continues(
    lane_scenario: Scenario, lanes: LaneCluster, frozen_s: float
) -> None:
    program = lanes.redis(lanes.home())

    async def fault(load: Load) -> None:
        for _ in range(3):
            began = time.monotonic()
            await asyncio.to_thread(lanes.cluster.kill, program, signal.SIGSTOP)
            try:
                while time.monotonic() - began < frozen_s:
                    await load.good(20)
            finally:
                await asyncio.to_thread(lanes.cluster.kill, program, signal.SIGCONT)
            await load.good(50)

    run = lane_scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < FROZEN_STALL_S
    lanes.wait_home()


@pytest.mark.long
def test_no_request_fails_when_a_lane_loses_its_data(lane_scenario: Scenario, lanes: LaneCluster) -> None:
    async def fault(load: Load) -> None:
        with as_tarantkv(lanes.cluster, lane=lanes.home()) as client:
            for _ in range(8):
                await asyncio.to_thread(client.flushall)
                await load.good(20)

    run = lane_scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < STALL_S


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "healthy"),
    [({"maxmemory": "1"}, {"maxmemory": "256mb"}), ({"min-replicas-to-write": "1"}, {"min-replicas-to-write": "0"})],
    ids=["full", "read-only"],
)
def test_no_request_fails_when_a_lane_accepts_no_frames(
    lane_scenario: Scenario, lanes: LaneCluster, settings: dict[str, str], healthy: dict[str, str]
) -> None:
    async def fault(load: Load) -> None:
        with as_tarantkv(lanes.cluster, lane=lanes.home()) as client:
            for name, value in settings.items():
                await asyncio.to_thread(client.config_set, name, value)
            try:
                await load.good(200)
            finally:
                for name, value in healthy.items():
                    await asyncio.to_thread(client.config_set, name, value)

    run = lane_scenario.run(fault)
    assert run.failures() == {}
    assert run.stall_s() < FROZEN_STALL_S
    lanes.wait_home()


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("condition", [CUT, HALF_OPEN, HELD, DEAF], ids=["cut", "half-open", "held", "answers-lost"])
@pytest.mark.parametrize("whose", ["api", "workers", "both"])
def test_no_request_fails_when_a_lane_is_cut_off(
    lane_scenario: Scenario, lanes: LaneCluster, whose: str, condition: Condition
) -> None:
    home = lanes.home()
    links = {"api": [lanes.api[home]], "workers": [lanes.workers[home]], "both": lanes.links(home)}[whose]

    async def fault(load: Load) -> None:
        began = time.monotonic()
        for link in links:
            await asyncio.to_thread(link.set, condition)
        try:
            while time.monotonic() - began < PAST_DEADLINES_S:
                await load.good(20)
        finally:
            for link in links:
                await asyncio.to_thread(link.heal)

    run = lane_scenario.run(fault, clients=4)
    assert run.failures() == {}
    assert run.stall_s() < FROZEN_STALL_S
    lanes.wait_home()
