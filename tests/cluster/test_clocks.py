"""Buckets move between shards whose clocks differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clusterctl.changes import storages
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_tests
from clusterctl.engine import Engine
from clusterctl.storages import StorageError
from protocol.buckets import bucket_of
from tests.cluster.failing import leader
from tests.faults.console import evaluate, keys_of
from tests.faults.load import login
from tests.faults.processes import wait_for

BUCKETS = 30
AHEAD_S, TTL_S = 3, 2
"""Less than the time of a request: for a clock that is further ahead, every request is too late."""


@pytest.fixture
def cluster(engine: Engine, tmp_path: Path) -> Iterator[ReplicatedCluster]:
    """Two shards of one instance each."""
    settings = {"TARANTKV_BUCKET_COUNT": str(BUCKETS)}
    cluster = ReplicatedCluster(of_tests(tmp_path / "data", engine, replicas=1, settings=settings))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def set_ahead(cluster: ReplicatedCluster, shard: str, ms: int) -> None:
    """Set the wall clock of a shard's leader ahead for its modules."""
    change = (
        "(function() local clock = require('tarantkv.clock') local now_ms = clock.now_ms "
        f"clock.now_ms = function() return now_ms() + {ms} end return true end)()"
    )
    assert evaluate(cluster.console_socket(leader(cluster, shard)), change) == [True]


def test_an_expired_key_is_absent_on_the_new_shard_of_its_bucket(cluster: ReplicatedCluster) -> None:
    (key,) = keys_of(cluster, leader(cluster, "s1"), "expires", 1)
    bucket = bucket_of(key.encode(), BUCKETS)
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    with httpx.Client(base_url=cluster.base_url, headers={"Authorization": token}, trust_env=False) as http:

        def is_there() -> bool:
            return bool(http.post("/api/read", json={"keys": [key]}).raise_for_status().json()["data"])

        body = {"data": {key: 1}, "options": {key: {"ttl": TTL_S}}}
        http.post("/api/write", json=body).raise_for_status()
        assert is_there()
        set_ahead(cluster, "s1", AHEAD_S * 1000)
        wait_for(lambda: not is_there(), "the key has not expired")
        storages(cluster).send(bucket, "s1", "s2")
        assert not is_there()
        assert bucket in storages(cluster).buckets("s2").owned


def test_no_bucket_is_accepted_from_a_shard_whose_clock_is_wrong(cluster: ReplicatedCluster) -> None:
    set_ahead(cluster, "s1", 3_600_000)
    with pytest.raises(StorageError, match="the clock is 3600 s behind"):
        storages(cluster).send(1, "s1", "s2")
