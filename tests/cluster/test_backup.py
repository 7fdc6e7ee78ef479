"""A cluster is backed up while it serves, and restored under another directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from clusterctl import backup
from clusterctl.changes import written
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_tests
from clusterctl.engine import Engine
from localcluster.waiting import ClusterError
from tests.cluster.failing import wait_all_follow
from tests.contract.waiting import until
from tests.localcluster.test_backup import http, items, writes

KEYS = 500

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def source(engine: Engine, tmp_path: Path) -> Iterator[ReplicatedCluster]:
    cluster = ReplicatedCluster(
        of_tests(tmp_path / "data", engine, shards=2, replicas=2, settings={"TARANTKV_BUCKET_COUNT": "300"})
    )
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def empty(source: ReplicatedCluster, directory: Path) -> ReplicatedCluster:
    """A cluster with the same secrets under another directory, without data."""
    engine = source.config.engine
    assert engine is not None
    other = of_tests(directory, engine, shards=1, replicas=1, settings=source.config.settings)
    return ReplicatedCluster(replace(other, instances_password=source.config.instances_password))


def test_a_backup_made_under_writes_is_restored_elsewhere(source: ReplicatedCluster, tmp_path: Path) -> None:
    prefix, made = token_hex(4), tmp_path / "backup"
    data = {f"{prefix}:{number}": {"n": number} for number in range(KEYS)}
    with http(source) as client:
        client.post("/api/write", json={"data": data, "options": {f"{prefix}:0": {"ttl": 3600}}}).raise_for_status()
        before = items(client, f"{prefix}:")
        with writes(source, prefix) as acknowledged:
            until(lambda: len(acknowledged) > 10, 20, "nothing is written")
            earlier = len(acknowledged)
            size = backup.backup(source, made, print)
    membership = source.config.membership
    with pytest.raises(ClusterError, match="s1 is being drained: finish that with make shard-drain NAME=s1 first"):
        backup.backup(written(source, replace(membership, draining="s1")), tmp_path / "none", print)
    written(source, membership)
    source.stop()

    target = empty(source, tmp_path / "elsewhere")
    assert backup.restore(target, made, print) == size
    with pytest.raises(ClusterError, match="holds data"):
        backup.restore(target, made, print)
    restored = ReplicatedCluster(
        replace(source.config, data_dir=tmp_path / "elsewhere", api_port=target.config.api_port)
    )
    restored.start()
    try:
        wait_all_follow(restored)
        with http(restored) as client:
            assert items(client, f"{prefix}:") == before
            later = items(client, f"{prefix}-later/")
            assert len(later) >= earlier, "writes that were acknowledged before the backup are in it"
            client.post("/api/write", json={"data": data}).raise_for_status()
    finally:
        restored.stop()


def test_a_directory_that_is_not_a_backup_of_this_cluster_is_refused(engine: Engine, tmp_path: Path) -> None:
    cluster = ReplicatedCluster(of_tests(tmp_path / "data", engine))
    made = tmp_path / "backup"
    made.mkdir()
    manifest = {"format": 1, "made_at": 1, "shards": {}}
    (made / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(ClusterError, match="of a single machine: restore it with make restore"):
        backup.restore(cluster, made, print)
    told = {"membership": {"shards": 1, "replicas": 1, "first": 1, "seed": "x"}, "bucket_count": 7, "password": ""}
    (made / "backup.json").write_text(json.dumps({**manifest, "cluster": told}))
    with pytest.raises(ClusterError, match="another TARANTKV_BUCKET_COUNT"):
        backup.restore(cluster, made, print)
    (made / "backup.json").write_text(json.dumps({**manifest, "cluster": {**told, "bucket_count": 30000}}))
    with pytest.raises(ClusterError, match=r"other passwords in \.env"):
        backup.restore(cluster, made, print)
    assert not (cluster.config.data_dir / "shards").exists()
