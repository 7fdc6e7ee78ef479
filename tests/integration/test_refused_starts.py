"""Starts that are refused: wrong settings, and shards that do not form one cluster."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from localcluster import programs
from localcluster.cluster import Cluster
from tests.integration.processes import ShardProcess, environment, run_module, run_shard

CONFIGURATION = 78
LIST = "TARANTKV_SHARDS"
OTHER = "another secret which is long enough as well"

API_SETTINGS: dict[str, tuple[Mapping[str, str], str]] = {
    "no secret": ({"TARANTKV_JWT_SECRET": ""}, "TARANTKV_JWT_SECRET is not set"),
    "a short secret": ({"TARANTKV_JWT_SECRET": "x" * 31}, "TARANTKV_JWT_SECRET must have 32 characters or more"),
    "a secret of one letter": (
        {"TARANTKV_JWT_SECRET": "x" * 64},
        "TARANTKV_JWT_SECRET must have 8 different characters",
    ),
    "a short secret among others": ({"TARANTKV_JWT_SECRET": OTHER + ",short"}, "TARANTKV_JWT_SECRET must have 32"),
    "an unknown setting": ({"TARANTKV_MAX_KEYS": "1"}, "TARANTKV_MAX_KEYS is not a setting"),
    "no number": ({"TARANTKV_MAX_BATCH_KEYS": "many"}, "TARANTKV_MAX_BATCH_KEYS: "),
    "a secret in an address": ({"TARANTKV_REDIS_URL": "redis://u:p@localhost/0"}, "TARANTKV_REDIS_URL: "),
    "a shard twice": ({LIST: "s1=h:1;s1=h:2"}, "TARANTKV_SHARDS names shard s1 twice"),
    "an instance twice": ({LIST: "s1=h:1;s2=h:1"}, "TARANTKV_SHARDS gives h:1 to shard s1 and to shard s2"),
}

SHARD_SETTINGS: dict[str, tuple[Mapping[str, str], str]] = {
    "another shard": ({"TARANTKV_SHARD": "s9"}, "TARANTKV_SHARD "),
    "no password": ({"TARANTKV_STORE_PASSWORD": ""}, "TARANTKV_STORE_PASSWORD is not set"),
    "no write-ahead log": ({"TARANTKV_WAL_MODE": "none"}, "TARANTKV_WAL_MODE "),
    "too little memory": ({"TARANTKV_SHARD_MEMORY_MIB": "1"}, "TARANTKV_SHARD_MEMORY_MIB "),
    "more shards than buckets": ({"TARANTKV_BUCKET_COUNT": "2"}, "TARANTKV_BUCKET_COUNT "),
}


def refused(done: "subprocess.CompletedProcess[str]", said: str, *, log: bool = False) -> None:
    """Check that the process ended with the code of wrong settings and, besides its log, one line with the fault."""
    lines = done.stderr.splitlines()
    assert done.returncode == CONFIGURATION, (done.returncode, lines[-5:])
    plain = [line for line in lines if not (log and line.startswith("{"))]
    assert len(plain) == 1, lines
    assert plain[0].startswith("tarant-kv: ")
    assert said in plain[0]
    assert done.stdout == ""


MORE = {
    "a short secret among others",
    "a secret of one letter",
    "an instance twice",
    "no secret",
    "a secret in an address",
}
"""Settings for `long` runs: their refusals differ only in words, and each takes the start of a process."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in MORE else []) for name in API_SETTINGS]
)
def test_the_api_refuses_wrong_settings(cluster: Cluster, name: str) -> None:
    settings, said = API_SETTINGS[name]
    refused(run_module(cluster, "api", settings), said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TARANTKV_STORE_PASSWORD": ""}, "TARANTKV_STORE_PASSWORD is not set"),
        ({"TARANTKV_WORKER": "2"}, "TARANTKV_WORKER is not a setting"),
    ],
)
def test_a_worker_refuses_wrong_settings(cluster: Cluster, settings: Mapping[str, str], said: str) -> None:
    refused(run_module(cluster, "worker", settings, "worker"), said)


@pytest.mark.parametrize("name", SHARD_SETTINGS)
def test_a_shard_refuses_wrong_settings(cluster: Cluster, tmp_path: Path, name: str) -> None:
    settings, said = SHARD_SETTINGS[name]
    done = run_shard(cluster, tmp_path, settings)
    assert done.returncode == CONFIGURATION
    (line,) = done.stderr.splitlines()
    assert said in line


def shard_list(cluster: Cluster, *names: str) -> dict[str, str]:
    """A shard list with only these, or in this order."""
    addresses = {shard.name: shard.address for shard in cluster.config.shards}
    return {LIST: ";".join(f"{name}={addresses[name]}" for name in names)}


def test_the_api_refuses_a_shard_list_that_leaves_buckets_without_owner(cluster: Cluster) -> None:
    done = run_module(cluster, "api", shard_list(cluster, "s1", "s3"))
    refused(done, "no shard owns 10000 of 30000 buckets", log=True)


def test_the_api_accepts_the_shards_in_any_order(cluster: Cluster) -> None:
    # The api ends only because the cluster's own api has the port: the map itself is complete.
    done = run_module(cluster, "api", shard_list(cluster, "s3", "s1", "s2"))
    assert "address already in use" in done.stderr


def test_the_api_refuses_another_bucket_count(cluster: Cluster) -> None:
    done = run_module(cluster, "api", {"TARANTKV_BUCKET_COUNT": "29999"})
    refused(done, "was made with bucket_count 30000, TARANTKV_BUCKET_COUNT is 29999", log=True)


def test_the_api_names_the_shard_that_does_not_answer(cluster: Cluster) -> None:
    settings = {"TARANTKV_STARTUP_TIMEOUT_S": "0.5", "TARANTKV_REDIS_URL": _beside(cluster)}
    done = run_module(cluster, "api", settings)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("tarant-kv: the api cannot start: no answer from s1")


@contextmanager
def worker(cluster: Cluster, settings: Mapping[str, str]) -> Iterator[None]:
    """A worker besides the cluster's, on streams of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker"],
        env=environment(cluster, settings, "worker"),
        cwd=programs.REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _beside(cluster: Cluster) -> str:
    """Another database of the cluster's Redis: the cluster's workers do not see frames in it."""
    return cluster.redis_url.removesuffix("/0") + "/1"


def test_the_api_refuses_two_shards_that_own_the_same_bucket(cluster: Cluster, tmp_path: Path) -> None:
    # A shard that was first started with another list: its range is the first of the three, which is s1's.
    other = {"TARANTKV_SHARD": "s3", LIST: "s3=h:1;s1=h:2;s2=h:3"}
    with ShardProcess(cluster, tmp_path, other) as shard:
        s1, s2 = shard_list(cluster, "s1")[LIST], shard_list(cluster, "s2")[LIST]
        settings = {LIST: f"{s1};{s2};s3={shard.address}", "TARANTKV_REDIS_URL": _beside(cluster)}
        with worker(cluster, settings):
            refused(run_module(cluster, "api", settings), "shards s1 and s3 both own bucket 1", log=True)


def test_a_worker_refuses_shards_that_were_swapped(cluster: Cluster) -> None:
    addresses = {shard.name: shard.address for shard in cluster.config.shards}
    swapped = {LIST: f"s1={addresses['s2']};s2={addresses['s1']};s3={addresses['s3']}"}
    settings = {**swapped, "TARANTKV_REDIS_URL": _beside(cluster)}
    # A worker connects to its shards when it has frames; an api that starts asks them all.
    api = subprocess.Popen(
        [sys.executable, "-m", "api"],
        env=environment(cluster, {**settings, "TARANTKV_STARTUP_TIMEOUT_S": "20"}),
        cwd=programs.REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        done = run_module(cluster, "worker", settings, "worker")
    finally:
        api.kill()
        api.wait()
    refused(done, "says it is s", log=True)


def test_a_shard_refuses_the_data_of_another(cluster: Cluster, tmp_path: Path) -> None:
    with ShardProcess(cluster, tmp_path, {"TARANTKV_SHARD": "s1"}):
        pass
    for settings, said in (
        ({"TARANTKV_SHARD": "s2"}, 'shard is "s1" in the data and "s2" in the settings'),
        (shard_list(cluster, "s1", "s2"), "ranges is [[1,10000]] in the data and [[1,15000]]"),
        (shard_list(cluster, "s2", "s1", "s3"), "ranges is [[1,10000]] in the data and [[10001,20000]]"),
        ({"TARANTKV_BUCKET_COUNT": "300"}, "bucket_count is 30000 in the data and 300"),
    ):
        done = run_shard(cluster, tmp_path, settings)
        assert done.returncode == CONFIGURATION
        lines = [line for line in done.stderr.splitlines() if "belongs to another shard" in line]
        assert len(lines) == 1, done.stderr
        assert said in lines[0]
    with ShardProcess(cluster, tmp_path, {"TARANTKV_SHARD": "s1"}):
        pass
