"""An outage of Redis with more attempts than a back-off can count: api and workers recover by themselves."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from localcluster import programs
from localcluster.cluster import Cluster
from tests.faults.answers import DEADLINE_S
from tests.faults.load import login
from tests.faults.processes import wait_for
from tests.integration.processes import ApiProcess, environment

TRIES = 2_000
"""A wait that doubles without a limit overflows at the 1,024th attempt."""
_IMPATIENT = Path(__file__).with_name("impatient")


def impatient(directory: Path, name: str) -> Mapping[str, str]:
    """Settings of a process that waits a millisecond instead of up to half a second."""
    path = f"{_IMPATIENT}:{programs.REPOSITORY}"
    # The patch works only for the sources, not for compiled modules.
    return {
        "PYTHONPATH": path,
        "FAULT_TRIES": str(TRIES),
        "FAULT_TRIED": str(directory / name),
        "TARANTKV_COMPILED": "off",
    }


def tried(directory: Path, name: str) -> int:
    """How many processes with a name have made that many attempts."""
    return len(list(directory.glob(f"{name}-*")))


def write(base_url: str, token: str) -> int:
    """The status of a write, which may take until its deadline."""
    body, headers = {"data": {"outage": 1}}, {"Authorization": token}
    url = f"{base_url}/api/write"
    return httpx.post(url, json=body, headers=headers, trust_env=False, timeout=2 * DEADLINE_S).status_code


@contextmanager
def worker(cluster: Cluster, settings: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker besides the cluster's."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker"],
        env=environment(cluster, settings, "worker"),
        cwd=programs.REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_an_outage_of_thousands_of_attempts_gets_503_and_the_system_recovers_by_itself(
    mended: Cluster, tmp_path: Path, processes: int
) -> None:
    cluster = mended
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    settings = {**impatient(tmp_path, "api"), "TARANTKV_API_PROCESSES": str(processes)}
    with worker(cluster, impatient(tmp_path, "worker")) as beside, ApiProcess(cluster, settings) as api:
        assert write(api.base_url, token) == 200
        cluster.stop_program("redis")
        try:
            wait_for(lambda: tried(tmp_path, "api") == processes, "the api gave up", 40)
            wait_for(lambda: tried(tmp_path, "worker") == 1, "the worker gave up", 40)
            assert write(api.base_url, token) == 503
            assert httpx.get(f"{api.base_url}/health/live", trust_env=False).status_code == 200
        finally:
            cluster.start_program("redis")
        wait_for(lambda: write(api.base_url, token) == 200, "the api did not recover", 20)
        assert beside.poll() is None
