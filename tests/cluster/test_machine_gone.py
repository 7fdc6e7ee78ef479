"""A whole machine with the leaders of all shards is lost at once: only the requests at its api fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clusterctl.engine import Engine
from tests.cluster.machines import APIS, PlacedCluster, running
from tests.cluster.network import why_not
from tests.cluster.test_failover import told
from tests.faults.history import SERVED
from tests.faults.limits import felt_at_most
from tests.faults.load import Load
from tests.faults.scenario import Scenario
from tests.interop.proxies import haproxy, nginx, program

MACHINE = 1
READ_TIMEOUT_S = 15.0
"""From the published configuration: nginx waits this long for a silent api."""

CLIENTS = 8
FELT_BEHIND_HAPROXY_S = felt_at_most(5.0)
"""HAProxy checks each api once a second, counts it as down after two failures, and then ends its requests."""

STALL_S = felt_at_most(3.0)

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed"),
    pytest.mark.skipif(why_not() is not None, reason=f"{why_not()}"),
]


@pytest.fixture
def cluster(engine: Engine, tmp_path: Path) -> Iterator[PlacedCluster]:
    with running(tmp_path / "data", engine) as cluster:
        yield cluster


@contextmanager
def balanced_by_haproxy(cluster: PlacedCluster, directory: Path) -> Iterator[str]:
    """All three apis behind one HAProxy; yields its address."""
    directory.mkdir()
    port = cluster.config.api_port
    line = f"    server api1 127.0.0.1:{port} check pool-max-conn 64"
    servers = "\n".join(line.replace("api1 127.0.0.1", f"{api} {cluster.address(api)}") for api in APIS)
    with haproxy(directory, port, None, {line: servers}) as proxy:
        yield proxy.base_url


@contextmanager
def balanced(cluster: PlacedCluster, directory: Path) -> Iterator[tuple[str, Path]]:
    """All three apis behind one nginx; yields its address, and a log of the apis that were tried for each request."""
    directory.mkdir()
    log = directory / "access"
    port = cluster.config.api_port
    servers = " ".join(f"server {cluster.address(api)}:{port} max_fails=1 fail_timeout=2s;" for api in APIS)
    form = '\'{"status": $status, "tried": "$upstream_addr", "seconds": $request_time}\''
    replacements = {
        f"server 127.0.0.1:{port} max_fails=0;": servers,
        "upstream tarantkv {": f"log_format tried escape=json {form}; upstream tarantkv {{",
        "server_tokens off;": f"server_tokens off; access_log {log} tried;",
    }
    with nginx(directory, port, None, replacements) as proxy:
        yield proxy.base_url, log


async def lose_and_bring_back(cluster: PlacedCluster, load: Load) -> None:
    """A machine is lost under load, and returns."""
    await asyncio.to_thread(cluster.power_off, MACHINE)
    await load.every_client_answered()
    await load.good(200)
    await asyncio.to_thread(cluster.power_on, MACHINE)


@pytest.mark.skipif(program("haproxy") is None, reason="HAProxy is not installed")
def test_behind_haproxy_no_request_waits_for_a_lost_machine(cluster: PlacedCluster, tmp_path: Path) -> None:
    cluster.lead_from(MACHINE)

    async def fault(load: Load) -> None:
        await lose_and_bring_back(cluster, load)

    with balanced_by_haproxy(cluster, tmp_path / "haproxy") as url:
        run = Scenario("machine_gone_haproxy", cluster, tmp_path).run(fault, base_url=url, garbled=True)

    print(told(run))  # noqa: T201
    assert sum(run.failures().values()) <= CLIENTS, told(run)
    assert run.stall_s() < FELT_BEHIND_HAPROXY_S, told(run)


def test_only_the_requests_at_its_api_fail_when_a_machine_is_lost(cluster: PlacedCluster, tmp_path: Path) -> None:
    cluster.lead_from(MACHINE)

    async def fault(load: Load) -> None:
        await lose_and_bring_back(cluster, load)

    with balanced(cluster, tmp_path / "nginx") as (url, log):
        scenario = Scenario("machine_gone", cluster, tmp_path)
        run = scenario.run(fault, base_url=url, garbled=True, late_s=READ_TIMEOUT_S)

    gone = f"{cluster.address(APIS[0])}:{cluster.config.api_port}"
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    failed = [each for each in requests if str(each["status"]) not in SERVED]
    print(told(run), failed)  # noqa: T201
    assert {each["tried"] for each in failed} <= {gone}, failed
    assert len(failed) <= CLIENTS, "more requests failed than there were clients waiting at that moment"
    unhurt = [call for call in run.calls if set(call.answers) <= {*SERVED}]
    assert run.stall_s(unhurt) < STALL_S, told(run)
