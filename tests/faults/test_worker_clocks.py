"""A worker's clock is wrong, with other workers and alone: only the shard checks deadlines."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from localcluster.cluster import Cluster
from protocol.names import shard_stream
from tests.faults.asking import Mix
from tests.faults.clocks import ProcessClock
from tests.faults.injection import injected
from tests.faults.injections_processes import Down
from tests.faults.load import Load
from tests.faults.processes import wait_for
from tests.faults.scenario import Scenario
from tests.faults.workers import another_worker, without_workers

CALLS = 150
CASES = [
    pytest.param(offset_s, alone, id=f"{offset_s} s {where}", marks=[pytest.mark.long] if is_long else [])
    for offset_s, alone, where, is_long in (
        (3, False, "beside healthy ones", True),
        (60, False, "beside healthy ones", True),
        (-60, False, "beside healthy ones", True),
        (3, True, "alone", True),
        (60, True, "alone", False),
        (-60, True, "alone", True),
    )
]


@contextmanager
def worker_with(cluster: Cluster, clock: ProcessClock, *, alone: bool) -> Iterator[None]:
    """A worker whose clock is wrong from its start. It started before the others, and so it is the reader."""
    with ExitStack() as stack, ExitStack() as others:
        (stack if alone else others).enter_context(without_workers(cluster))
        clock.start(cluster)
        stack.enter_context(another_worker(cluster, clock.settings))
        others.close()
        yield


@pytest.mark.parametrize(("offset_s", "alone"), CASES)
def test_no_request_fails_with_a_worker_whose_clock_is_wrong(
    scenario: Scenario,
    tmp_path: Path,
    offset_s: int,
    alone: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async def fault(load: Load) -> None:
        with worker_with(scenario.cluster, ProcessClock(tmp_path / "clock", offset_s, "worker"), alone=alone):
            await load.good(CALLS)

    assert scenario.run(fault, mix=Mix(keyed=0.5)).failures() == {}


def test_a_worker_whose_clock_is_ahead_waits_for_a_shard_as_long_as_other_workers(
    scenario: Scenario, tmp_path: Path, as_tarantkv: redis.Redis
) -> None:
    """It may give up a chunk only by its own monotonic clock."""
    cluster = scenario.cluster
    down = Down("shard-s1")

    def something_waits() -> bool:
        return bool(as_tarantkv.xlen(shard_stream("s1")))

    async def fault(load: Load) -> None:
        with worker_with(cluster, ProcessClock(tmp_path / "clock", 60, "worker"), alone=True):
            await load.good(CALLS // 2)
            async with injected(down, cluster):
                await asyncio.to_thread(wait_for, something_waits, "nothing waits for the shard")
            await load.good(CALLS)

    assert scenario.run(fault).failures() == {}
