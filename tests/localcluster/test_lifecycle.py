"""One cluster starts, stops, scales and recovers; programs that die are restarted."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from localcluster import dotenv, leftovers
from localcluster.cluster import Cluster, ClusterError
from localcluster.config import TIERS, for_tests

NewCluster = Callable[..., Cluster]

PROGRAMS = ["redis", "shard-s1", "shard-s2", "shard-s3", "worker-1", "worker-2", "api"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(for_tests(tmp_path_factory.mktemp("lifecycle")))
    yield cluster
    cluster.stop()


@pytest.fixture
def running(own: Cluster) -> Cluster:
    """A running cluster that a test may break: it is repaired for the next test."""
    own.start()
    if own.workers() != own.config.workers:
        own.scale_workers(own.config.workers)
    return own


@pytest.fixture
def stopped(own: Cluster) -> Cluster:
    """A cluster that has run and is stopped."""
    if not own.config.data_dir.exists():
        own.start()
    own.stop()
    return own


def pids_of(cluster: Cluster) -> dict[str, int]:
    return {status.name: status.pid for status in cluster.status()}


def lives(pid: int) -> bool:
    """A process that has ended may still have an entry if process 1 does not reap orphans."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def listening_addresses(cluster: Cluster) -> set[str]:
    """The processes of its programs, without those that other tests have added."""
    addresses = set()
    for pid in pids_of(cluster).values():
        program = psutil.Process(pid)
        for process in (program, *program.children(recursive=True)):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    addresses.add(f"{connection.laddr.ip}:{connection.laddr.port}")
    return addresses


def test_a_start_starts_every_program_and_the_api_is_ready(cluster: Cluster) -> None:
    assert [status.name for status in cluster.status()] == PROGRAMS
    assert {status.state for status in cluster.status()} == {"RUNNING"}
    with urlopen(f"{cluster.base_url}/health/ready") as answer:
        assert answer.status == 200


def test_a_second_start_changes_nothing(cluster: Cluster) -> None:
    before = pids_of(cluster)
    Cluster(cluster.config).start()
    assert pids_of(cluster) == before


def test_all_programs_listen_only_on_the_loopback_interface(cluster: Cluster) -> None:
    config = cluster.config
    ports = [config.redis_port, config.api_port, *(shard.port for shard in config.shards)]
    assert listening_addresses(cluster) == {f"127.0.0.1:{port}" for port in ports}


def test_no_secret_is_in_an_argument_or_in_a_file_that_others_may_read(cluster: Cluster) -> None:
    secrets = [cluster.settings[name] for name in dotenv.random_secrets() if name != dotenv.ADMIN_USER]
    for process in leftovers.find(cluster.layout):
        assert not [secret for secret in secrets if secret in " ".join(process.cmdline())]
    for path in cluster.config.data_dir.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077 and os.access(path, os.R_OK):
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path


def test_no_program_has_a_secret_that_only_others_need(cluster: Cluster) -> None:
    def specification(name: str) -> str:
        return cluster.layout.spec(name).read_text()

    settings = cluster.settings
    assert settings[dotenv.JWT_SECRET] not in specification("worker-1") + specification("shard-s1")
    assert settings[dotenv.ADMIN_PASSWORD] not in specification("worker-1") + specification("shard-s1")
    assert settings[dotenv.REDIS_PASSWORD] not in specification("shard-s1")
    assert settings[dotenv.REDIS_WORKER_PASSWORD] not in specification("shard-s1") + specification("api")
    assert settings[dotenv.REDIS_WORKER_PASSWORD] in specification("worker-1")
    assert settings[dotenv.STORE_PASSWORD] not in specification("api") + specification("redis")


@pytest.mark.parametrize(
    "name", ["redis", "shard-s2", *(pytest.param(name, marks=pytest.mark.long) for name in ("worker-1", "api"))]
)
def test_a_killed_program_is_restarted(running: Cluster, name: str) -> None:
    before = pids_of(running)
    running.kill(name)
    running.wait_ended(name, before[name])
    running.wait_running()
    running.wait_ready()
    after = pids_of(running)
    assert after.pop(name) != before.pop(name)
    assert after == before


def test_scaling_does_not_restart_running_workers(running: Cluster) -> None:
    before = pids_of(running)
    running.scale_workers(4)
    more = pids_of(running)
    assert more.keys() - before.keys() == {"worker-3", "worker-4"}
    assert {name: more[name] for name in before} == before

    running.scale_workers(1)
    fewer = pids_of(running)
    assert before.keys() - fewer.keys() == {"worker-2"}
    assert {name: before[name] for name in fewer} == fewer
    assert not [more[name] for name in more.keys() - fewer.keys() if lives(more[name])]


def test_a_failed_scaling_does_not_change_the_number_of_workers(running: Cluster) -> None:
    before = pids_of(running)
    settings = {**running.config.settings, "TARANTKV_READ_FRAMES": "many"}
    wrong = Cluster(replace(running.config, settings=settings))
    with pytest.raises(ClusterError, match=r"(?s)worker-3 ended.*TARANTKV_READ_FRAMES"):
        wrong.scale_workers(3)
    assert pids_of(running) == before
    assert running.is_healthy()
    running.scale_workers(3)
    assert running.is_healthy()


def test_scaling_to_no_worker_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="at least one"):
        cluster.scale_workers(0)


def test_stop_leaves_no_process_and_no_listener(running: Cluster) -> None:
    pids = pids_of(running)
    running.stop()
    assert not running.is_running()
    assert not [pid for pid in pids.values() if lives(pid)]
    assert leftovers.find(running.layout) == []
    for port in (running.config.api_port, running.config.redis_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_stop_twice_is_no_error(stopped: Cluster) -> None:
    stopped.stop()


def test_data_survives_a_stop_and_wipe_removes_it(stopped: Cluster) -> None:
    assert list(stopped.config.data_dir.glob("shards/s1/*.snap"))
    stopped.wipe()
    assert not stopped.config.data_dir.exists()


def test_a_single_program_stops_and_starts(running: Cluster) -> None:
    running.stop_program("worker-2")
    assert running.pid("worker-2") == 0
    running.start_program("worker-2")
    assert running.pid("worker-2") != 0


def test_start_starts_stopped_programs_and_does_not_restart_others(running: Cluster) -> None:
    before = pids_of(running)
    running.stop_program("worker-2")
    running.start()
    after = pids_of(running)
    assert after.pop("worker-2") not in (0, before.pop("worker-2"))
    assert after == before


@pytest.mark.long
def test_a_frozen_program_is_killed_when_it_does_not_stop(new_cluster: NewCluster) -> None:
    cluster = new_cluster(shards=1, workers=1)
    cluster = Cluster(replace(cluster.config, stop_timeout_s=2.0))
    cluster.start()
    pid = cluster.kill("worker-1", signal.SIGSTOP)
    cluster.stop()
    assert not lives(pid)


def test_a_start_recovers_from_an_unclean_stop(running: Cluster) -> None:
    before = pids_of(running)
    supervisord = psutil.Process(before["api"]).ppid()
    os.kill(supervisord, signal.SIGKILL)
    running.start()
    assert running.is_healthy()
    assert not [pid for pid in before.values() if lives(pid)]


def test_processes_end_with_their_owner(tmp_path: Path) -> None:
    """A test run that is killed leaves no processes behind."""
    script = (
        "import pathlib, sys\n"
        "from localcluster.cluster import Cluster\n"
        "from localcluster.config import for_tests\n"
        "cluster = Cluster(for_tests(pathlib.Path(sys.argv[1]), shards=1, workers=1))\n"
        "cluster.start()\n"
        "print(*(status.pid for status in cluster.status()), flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=dotenv.REPOSITORY) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) == len(TIERS)
        owner.kill()
    gone, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if lives(pid)], timeout=30)
    assert alive == [], gone
