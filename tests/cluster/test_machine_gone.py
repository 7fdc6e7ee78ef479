"""A whole machine is gone at once, with the leaders of all shards on it: only the requests that its api had fail."""

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
from tests.interop.proxies import nginx, program

MACHINE = 1
READ_TIMEOUT_S = 15.0
"""Of the published configuration: for so long nginx waits for an api that says nothing."""

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
def balanced(cluster: PlacedCluster, directory: Path) -> Iterator[tuple[str, Path]]:
    """All three apis behind one nginx; yields its address, and a log with which api each request was tried at."""
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


def test_a_machine_that_is_gone_fails_no_request_but_those_of_its_api(cluster: PlacedCluster, tmp_path: Path) -> None:
    cluster.lead_from(MACHINE)

    async def fault(load: Load) -> None:
        await asyncio.to_thread(cluster.power_off, MACHINE)
        await load.every_client_answered()
        await load.good(200)
        await asyncio.to_thread(cluster.power_on, MACHINE)

    with balanced(cluster, tmp_path / "nginx") as (url, log):
        scenario = Scenario("machine_gone", cluster, tmp_path)
        run = scenario.run(fault, base_url=url, garbled=True, late_s=READ_TIMEOUT_S)

    gone = f"{cluster.address(APIS[0])}:{cluster.config.api_port}"
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    failed = [each for each in requests if str(each["status"]) not in SERVED]
    print(told(run), failed)  # noqa: T201
    assert {each["tried"] for each in failed} <= {gone}, failed
    assert len(failed) <= 8, "more than the clients that asked at that moment"
    unhurt = [call for call in run.calls if set(call.answers) <= {*SERVED}]
    assert run.stall_s(unhurt) < STALL_S, told(run)
