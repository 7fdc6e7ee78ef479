"""How `python -m api` ends, and what it does if its processes die: it ends with an error if it cannot serve."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import psutil
import pytest

from localcluster.cluster import Cluster
from tests.contract.waiting import until
from tests.integration.processes import ApiProcess

PROCESSES = 2
STARTUP_TIMEOUT_S = 1.0
OLD_S = 11.0
"""A process of this age counts as serving: a start takes less time, even on a busy machine."""

FAILED = 1
Pause = Callable[[], AbstractContextManager[object]]


@pytest.fixture
def api(cluster: Cluster) -> Iterator[ApiProcess]:
    """An api of two processes that restarts a dead one after a short wait."""
    settings = {
        "TARANTKV_API_PROCESSES": str(PROCESSES),
        "TARANTKV_STARTUP_TIMEOUT_S": str(STARTUP_TIMEOUT_S),
        # The api looks accounts up for each request, so that each request needs the shards.
        "TARANTKV_AUTH_CACHE_S": "0",
    }
    with ApiProcess(cluster, settings, ["tests.integration.hasty_api"]) as process:
        yield process


def children(api: ApiProcess) -> list[psutil.Process]:
    """The api's processes that serve or are starting."""
    found = []
    for child in psutil.Process(api.pid).children():
        try:
            if "spawn_main" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.Error:
            continue  # it has just ended
    return found


def kill(*processes: psutil.Process) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def is_live(api: ApiProcess) -> bool:
    try:
        return httpx.get(f"{api.base_url}/health/live", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_an_api_of_several_processes_ends_on_sigterm_without_an_error(api: ApiProcess) -> None:
    assert len(children(api)) == PROCESSES
    api.signal(signal.SIGTERM)
    assert api.ended() == 0


def test_a_process_that_dies_is_started_again(api: ApiProcess) -> None:
    before = {child.pid for child in children(api)}
    kill(children(api)[0])
    until(lambda: len({child.pid for child in children(api)} - before) == 1, 10, "the process is not restarted")
    until(lambda: is_live(api), 10, "the api does not serve any more")


@pytest.mark.long
def test_processes_end_with_their_parent(api: ApiProcess) -> None:
    left = children(api)
    api.signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(left, timeout=20)
    kill(*alive)
    assert (len(left), alive) == (PROCESSES, [])
    assert "is gone, ending" in api.log()


@pytest.mark.long
def test_an_api_whose_processes_die_repeatedly_ends_with_an_error(api: ApiProcess) -> None:
    parent = psutil.Process(api.pid)

    def ended() -> bool:
        if not parent.is_running() or parent.status() == psutil.STATUS_ZOMBIE:
            return True
        kill(*children(api))
        return False

    until(ended, 50, "the api does not end although its processes die")
    assert api.ended() == FAILED
    assert "api processes cannot serve" in api.log()


def test_an_api_none_of_whose_processes_can_start_ends_with_an_error(api: ApiProcess, paused_workers: Pause) -> None:
    # A start asks the shards, which are out of reach now.
    with paused_workers():
        kill(*children(api))
        assert api.ended() == FAILED
    assert "api processes cannot serve" in api.log()


@pytest.mark.long
def test_a_process_that_cannot_start_is_restarted_as_long_as_another_serves(
    api: ApiProcess, paused_workers: Pause
) -> None:
    staying, dying = children(api)
    until(lambda: time.time() - staying.create_time() > OLD_S, 2 * OLD_S, "the process does not get older")
    with paused_workers():
        kill(dying)
        until(lambda: api.log().count("an api process died") >= 3, 40, "the process is not restarted")
        until(lambda: is_live(api), 10, "the remaining process does not serve")
    assert "no answer from s1" in api.log()
    assert "Traceback" not in api.log()
    until(lambda: len(children(api)) == PROCESSES and is_live(api), 20, "the api does not recover")
    assert staying.is_running()
    api.signal(signal.SIGTERM)
    assert api.ended() == 0
