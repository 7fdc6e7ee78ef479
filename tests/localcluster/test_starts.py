"""Starts that fail, starts in unusual folders, and what they leave behind."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import dotenv, leftovers
from localcluster.cluster import Cluster, ClusterError
from localcluster.config import ConfigError
from localcluster.launch import RUN_MARK
from localcluster.layout import Layout
from localcluster.ports import free_ports

NewCluster = Callable[..., Cluster]


def test_a_wrong_setting_is_reported_with_the_programs_error(new_cluster: NewCluster) -> None:
    cluster = new_cluster(shards=1, tier_settings={"worker": {"TARANTKV_READ_FRAMES": "many"}})
    with pytest.raises(
        ClusterError, match=re.compile(r"worker-\d ended \(exit status 78.*TARANTKV_READ_FRAMES", re.DOTALL)
    ):
        cluster.start()
    assert not cluster.is_running()
    assert leftovers.find(cluster.layout) == []


def test_a_failed_start_shows_nothing_of_earlier_starts(new_cluster: NewCluster) -> None:
    cluster = new_cluster(shards=1, workers=1, tier_settings={"api": {"TARANTKV_MAX_BATCH_KEYS": "many"}})
    cluster.layout.make(cluster.config)
    cluster.log_path("api").write_text("from an earlier life\n")
    with pytest.raises(ClusterError, match="api ended") as failure:
        cluster.start()
    assert "TARANTKV_MAX_BATCH_KEYS" in str(failure.value)
    assert "earlier life" not in str(failure.value)


def test_a_port_in_use_is_an_error_of_one_line_that_names_the_setting(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    config = cluster.config
    ports = {
        "TARANTKV_PORT": config.api_port,
        "TARANTKV_REDIS_URL": config.redis_port,
        "TARANTKV_SHARDS": config.shards[1].port,
    }
    for name, port in ports.items():
        with socket.create_server(("127.0.0.1", port)), pytest.raises(ClusterError) as failure:
            cluster.start()
        assert str(failure.value) == f"port {port} is taken; set {name}"
    assert not cluster.is_running()


def test_the_supervisor_warns_only_that_its_socket_has_no_password(cluster: Cluster) -> None:
    critical = [line for line in cluster.log_path("supervisord").read_text().splitlines() if " CRIT " in line]
    assert [line for line in critical if "without any HTTP authentication" not in line] == []


def test_missing_secrets_are_named(new_cluster: NewCluster) -> None:
    config = new_cluster().config
    settings = {name: value for name, value in config.settings.items() if name != dotenv.JWT_SECRET}
    with pytest.raises(ConfigError, match=dotenv.JWT_SECRET):
        Cluster(replace(config, settings=settings)).start()


def test_a_long_data_directory_works(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster(tmp_path / ("long" * 20) / ("longer" * 20), shards=1, workers=1)
    cluster.start()
    assert cluster.is_ready()


def test_secrets_with_every_kind_of_character_work(new_cluster: NewCluster) -> None:
    awkward = """%(x)s "'\\ ;#$`ü""" + "x" * 32
    settings = {name: awkward for name in dotenv.random_secrets() if name != dotenv.ADMIN_USER}
    cluster = new_cluster(shards=1, workers=1, settings=settings)
    cluster.start()
    assert cluster.is_healthy()


def test_free_ports_are_free_distinct_and_below_the_ephemeral_range() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert set(ports).isdisjoint(free_ports(20))
    assert max(ports) < 32768


def test_simultaneous_processes_never_get_the_same_port() -> None:
    """No program listens on these ports yet: only the reservation of one process keeps the other from using them."""
    script = "from localcluster.ports import free_ports; print(*free_ports(500), flush=True); input()"
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        handed_out = [port for process in processes if process.stdout for port in process.stdout.readline().split()]
    finally:
        for process in processes:
            process.communicate("\n", timeout=20)
    assert len(handed_out) == 1500
    assert len(set(handed_out)) == 1500


def test_a_process_that_ended_but_was_not_reaped_does_not_delay_a_stop(tmp_path: Path) -> None:
    """Process 1 of a container may be a program that does not reap orphans."""
    layout = Layout(tmp_path)
    layout.run_dir.mkdir()
    script = (
        "import os, subprocess, sys\n"
        "mark = {sys.argv[1]: sys.argv[2]}\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], env=mark, stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, RUN_MARK, layout.identity()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        started = time.monotonic()
        assert leftovers.end(layout) == [pid]
        assert time.monotonic() - started < leftovers.GRACE_S
        assert "(zombie)" in Path(f"/proc/{pid}/status").read_text()
        assert leftovers.find(layout) == []
        parent.communicate()
