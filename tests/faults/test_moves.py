"""Buckets move between shards under load, to and fro: nothing is lost, doubled or stale, and no request fails."""

from tests.faults.load import Load
from tests.faults.mover import mover, wandering_beside
from tests.faults.scenario import Scenario

MOVES = 40


def test_buckets_that_move_to_and_fro_fail_no_request(scenario: Scenario) -> None:
    with mover(scenario.cluster) as moved:

        async def fault(load: Load) -> None:
            async with wandering_beside(moved, moved.buckets(scenario.keys)):
                while moved.moves < MOVES:
                    await load.good(10)

        run = scenario.run(fault)
    assert run.failures() == {}
