"""Leaders are killed or frozen under load, and every promise is checked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clusterctl.cluster import ReplicatedCluster
from tests.cluster.failing import freeze_leader, kill_leader
from tests.faults.load import Load
from tests.faults.scenario import Scenario
from tests.faults.verdict import Run

STRIKES = int(os.environ.get("FAILOVERS", "2"))
"""How many leaders are killed in one test, and frozen in another."""

pytestmark = pytest.mark.timeout(60 + 40 * STRIKES)


def told(run: Run) -> str:
    slowest = sorted(run.calls, key=lambda call: call.longest_s)[-5:]
    waits = [f"{call.kind} {call.longest_s:.2f} s {call.answers}" for call in slowest]
    return f"{len(run.calls)} calls, stall {run.stall_s():.2f} s, failures {run.failures()}, slowest {waits}"


def test_no_request_fails_when_leaders_are_killed(mended: ReplicatedCluster, tmp_path: Path) -> None:
    async def fault(load: Load) -> None:
        for number in range(STRIKES):
            await kill_leader(mended, mended.config.plan[number % 2].name, load)

    run = Scenario("killed_leader", mended, tmp_path).run(fault)

    print(told(run))  # noqa: T201
    assert run.failures() == {}, told(run)
    assert run.stall_s() < 2, told(run)


def test_no_request_fails_when_leaders_are_frozen(mended: ReplicatedCluster, tmp_path: Path) -> None:
    async def fault(load: Load) -> None:
        for number in range(STRIKES):
            await freeze_leader(mended, mended.config.plan[number % 2].name, load)

    run = Scenario("frozen_leader", mended, tmp_path).run(fault)

    print(told(run))  # noqa: T201
    assert run.failures() == {}, told(run)
    assert run.stall_s() < 3, told(run)
