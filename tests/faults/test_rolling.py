"""All processes are restarted, one after the other, under load: no request of clients that reconnect fails."""

import asyncio
import signal
from collections.abc import Iterator
from itertools import chain

import psutil
import pytest

from localcluster.cluster import Cluster
from tests.faults.load import Load
from tests.faults.processes import wait_for
from tests.faults.scenario import Scenario
from tests.integration.processes import ApiProcess

PROCESSES = 2
START_S = 30.0


@pytest.fixture(scope="module")
def api(breakable: Cluster) -> Iterator[ApiProcess]:
    """An api of two processes, which share its port."""
    breakable.start()
    with ApiProcess(breakable, {"TARANTKV_API_PROCESSES": str(PROCESSES)}) as process:
        yield process


def serving(api: ApiProcess) -> set[int]:
    """The ids of the api's processes that serve."""
    return {child.pid for child in psutil.Process(api.pid).children() if _serves(child)}


def _serves(process: psutil.Process) -> bool:
    """Whether a process has both connections to Redis, which it makes before it accepts any of clients."""
    try:
        return len(process.net_connections("unix")) >= 2 and "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False  # it is just beginning or ending


def wait_replaced(api: ApiProcess, before: set[int]) -> None:
    wait_for(
        lambda: len(serving(api)) == PROCESSES and not serving(api) & before, "processes were not replaced", START_S
    )


async def replace_apis(api: ApiProcess) -> None:
    before = serving(api)
    assert len(before) == PROCESSES
    api.signal(signal.SIGHUP)
    await asyncio.to_thread(wait_replaced, api, before)


def test_no_request_fails_when_one_of_two_api_processes_is_stopped(scenario: Scenario, api: ApiProcess) -> None:
    async def fault(load: Load) -> None:
        for pid in serving(api):
            psutil.Process(pid).terminate()
            await asyncio.to_thread(
                wait_for,
                lambda pid=pid: pid not in serving(api) and len(serving(api)) == PROCESSES,  # type: ignore[misc]
                "no new process",
                START_S,
            )
            await load.good(50)

    assert scenario.run(fault, base_url=api.base_url).failures() == {}


def test_no_request_fails_during_a_rolling_restart_of_all_processes(scenario: Scenario, api: ApiProcess) -> None:
    cluster = scenario.cluster

    async def fault(load: Load) -> None:
        names = [status.name for status in cluster.status()]
        tiers = ("worker-", "redis", "shard-")
        for name in chain.from_iterable([name for name in names if name.startswith(tier)] for tier in tiers):
            await asyncio.to_thread(cluster.restart, name)
            await asyncio.to_thread(cluster.wait_running, name)
            await load.good(50)
        await replace_apis(api)
        await load.good(50)

    assert scenario.run(fault, base_url=api.base_url).failures() == {}
