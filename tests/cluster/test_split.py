"""The network splits: the smaller side, with the leaders on it, answers no read and acknowledges no write."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tarantool.error import NetworkError

from clusterctl.engine import Engine
from protocol.operations import Operation, Status
from tests.cluster.asking import ask, connect, read_of, write_of
from tests.cluster.failing import leader, wait_all_follow
from tests.cluster.machines import APIS, PlacedCluster, running
from tests.cluster.network import why_not
from tests.cluster.test_failover import told
from tests.faults.console import keys_of
from tests.faults.history import SERVED, Call
from tests.faults.load import Load
from tests.faults.scenario import Scenario

MINORITY, MAJORITY = 1, (2, 3)
PROBE_S = 1.0
LEASE_S = 0.4
"""A leader that is cut off may still answer for this long, because no other can be elected before."""

SPLIT_S = 8.0
"""Longer than any deadline, and longer than the api caches accounts."""

pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(why_not() is not None, reason=f"{why_not()}")]


@pytest.fixture(scope="module")
def cluster(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlacedCluster]:
    with running(tmp_path_factory.mktemp("split"), engine) as cluster:
        yield cluster


@dataclass(frozen=True)
class Probe:
    """The answer of an instance on the smaller side."""

    instance: str
    operation: Operation
    asked: float
    """By the monotonic clock."""
    status: int | None
    """None: no answer in time, for example because a change waits for a quorum."""


@contextmanager
def probed(cluster: PlacedCluster) -> Iterator[list[Probe]]:
    """Each leader on the smaller side is asked to read and to write repeatedly, as a worker on its side would."""
    stop, said = threading.Event(), list[Probe]()

    def probe(instance: str, operation: Operation) -> None:
        (key,) = keys_of(cluster, instance, f"probed-{operation}", 1)
        body = read_of(key) if operation is Operation.READ else write_of(key, "probed")
        while not stop.is_set():
            with closing(connect(cluster, instance, 2 * PROBE_S)) as connection, suppress(NetworkError):
                while not stop.wait(0.02):
                    asked, status = time.monotonic(), None
                    try:
                        status, _ = ask(connection, operation, body, PROBE_S)
                    finally:
                        said.append(Probe(instance, operation, asked, status))

    with ThreadPoolExecutor() as pool:
        probes = [
            pool.submit(probe, f"{shard.name}-{MINORITY}", operation)
            for shard in cluster.config.plan
            for operation in (Operation.READ, Operation.WRITE)
        ]
        try:
            yield said
        finally:
            stop.set()
            for each in probes:
                each.result(20)


def asked_minority(call: Call, attempt: int) -> bool:
    """Whether an attempt of a call went to the api on the smaller side: `Load` uses the apis in turn."""
    return (call.client + attempt) % len(APIS) == 0


@pytest.mark.parametrize("times", [1, 3], ids=["once", "again-and-again"])
def test_the_smaller_side_of_a_split_answers_nothing_and_recovers_by_itself(
    cluster: PlacedCluster, tmp_path: Path, times: int
) -> None:
    splits: list[tuple[float, float]] = []
    probes: list[int] = []
    urls = [f"http://{cluster.address(api)}:{cluster.config.api_port}" for api in APIS]

    async def split(load: Load, said: list[Probe]) -> None:
        assert {each.status for each in said} == {Status.OK}
        await asyncio.to_thread(cluster.network.cut, [MINORITY], MAJORITY)
        began = time.monotonic()
        for shard in cluster.config.plan:
            await asyncio.to_thread(leader, cluster, shard.name, but=f"{shard.name}-{MINORITY}")
        while time.monotonic() < began + SPLIT_S / times:
            await load.every_client_answered()
        ended = time.monotonic()
        await asyncio.to_thread(cluster.network.heal)
        splits.append((began, ended))
        during = [each for each in said if began + LEASE_S < each.asked < ended - 2 * PROBE_S]
        assert len({(each.instance, each.operation) for each in during}) == 2 * len(cluster.config.plan)
        assert [each for each in during if each.status == Status.OK] == []
        probes.append(len(during))
        await asyncio.to_thread(wait_all_follow, cluster)

    async def fault(load: Load) -> None:
        for _ in range(times):
            await asyncio.to_thread(cluster.lead_from, MINORITY)
            with probed(cluster) as said:
                await load.good(50)
                await split(load, said)
            await load.every_client_answered()

    scenario = Scenario(f"split_{times}", cluster, tmp_path)
    run = scenario.run(fault, base_url=urls[0], other_urls=urls[1:], clients=9)

    print(told(run), probes)  # noqa: T201
    within = [
        call
        for call in run.calls
        if len(call.answers) == 1
        and asked_minority(call, 0)
        and any(began + LEASE_S < call.called and call.answered < ended for began, ended in splits)
    ]
    assert [call for call in within if call.answers[0] in SERVED] == []
    elsewhere = {
        (call.number, answer)
        for call in run.calls
        for attempt, answer in enumerate(call.answers)
        if answer not in SERVED and not asked_minority(call, attempt)
    }
    assert elsewhere == set(), told(run)
