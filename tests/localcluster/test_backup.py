"""Backups: made while the cluster works, complete or absent, and restored exactly."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from localcluster import backup, shard_console
from localcluster.cluster import Cluster, ClusterError
from localcluster.config import ClusterConfig, for_tests
from tests.conftest import NewCluster
from tests.contract.waiting import until

KEYS = 3000


def http(cluster: Cluster) -> httpx.Client:
    login = {"username": cluster.admin_user, "password": cluster.admin_password}
    answer = httpx.post(f"{cluster.base_url}/api/login", json=login, trust_env=False, timeout=30).raise_for_status()
    token = {"authorization": answer.json()["token"]}
    return httpx.Client(base_url=cluster.base_url, trust_env=False, timeout=30, headers=token)


def items(client: httpx.Client, prefix: str) -> dict[str, Any]:
    """All keys with a prefix, with their values, versions and expiries."""
    lines = client.get("/api/export", params={"prefix": prefix}).raise_for_status().text.splitlines()
    assert json.loads(lines[-1])["end"]
    return {item["key"]: item for item in map(json.loads, lines) if "key" in item}


def same_secrets(config: ClusterConfig, data_dir: Path) -> Cluster:
    """A cluster with the same settings under another directory, without data."""
    other = for_tests(data_dir, shards=len(config.shards), workers=1, settings=config.settings)
    return Cluster(other)


@contextmanager
def writes(cluster: Cluster, prefix: str) -> Iterator[list[int]]:
    """Write one key after the other; the numbers of the acknowledged keys."""
    acknowledged: list[int] = []
    stop = threading.Event()

    def write_on() -> None:
        with http(cluster) as writer:
            while not stop.is_set():
                number = len(acknowledged)
                writer.put(f"/api/keys/{prefix}-later%2F{number}", json=number).raise_for_status()
                acknowledged.append(number)

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        thread.join(30)


def test_a_backup_made_under_writes_is_restored_under_another_directory(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    source = new_cluster(shards=2, workers=1)
    source.start()
    with http(source) as client:
        prefix = token_hex(4)
        data = {f"{prefix}:{number}": {"n": number, "text": "é" * (number % 50)} for number in range(KEYS)}
        client.post("/api/write", json={"data": data, "options": {f"{prefix}:0": {"ttl": 3600}}}).raise_for_status()
        before = items(client, f"{prefix}:")
        assert len(before) == KEYS
        said: list[str] = []
        with writes(source, prefix) as acknowledged:
            until(lambda: len(acknowledged) > 10, 20, "nothing is written")
            acknowledged_before = len(acknowledged)
            size = backup.backup(source, tmp_path / "backup", said.append)
        assert size > 30_000
        assert [line for line in said if "snapshot" in line] == ["s1: makes a snapshot ...", "s2: makes a snapshot ..."]
        assert not (tmp_path / "backup.unfinished").exists()
        # The backup has ended: the shards may remove old files again.
        for shard in ("s1", "s2"):
            assert shard_console.run(source.console_socket(shard), "box.backup.start() box.backup.stop() return 1") == 1
        with pytest.raises(ClusterError, match="there already"):
            backup.backup(source, tmp_path / "backup", said.append)
        source.stop()
    restored = same_secrets(source.config, tmp_path / "restored")
    assert backup.restore(restored, tmp_path / "backup", said.append) == size
    try:
        restored.start()
        with http(restored) as client:
            assert items(client, f"{prefix}:") == before
            later = items(client, f"{prefix}-later/")
            # The backup has the state of each shard at one moment, with all writes that were acknowledged before.
            assert {f"{prefix}-later/{number}" for number in range(acknowledged_before)} <= set(later)
            assert all(item["value"] == int(key.rpartition("/")[2]) for key, item in later.items())
            assert client.put(f"/api/keys/{prefix}-new", json=1).status_code == 200
        with pytest.raises(ClusterError, match="runs"):
            backup.restore(restored, tmp_path / "backup", said.append)
    finally:
        restored.stop()
    with pytest.raises(ClusterError, match="holds data"):
        backup.restore(restored, tmp_path / "backup", said.append)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A backup of one shard with two files."""
    shard = tmp_path / "made" / "s1"
    shard.mkdir(parents=True)
    files = {}
    for name, content in (("1.snap", b"snapshot"), ("1.xlog", b"log")):
        (shard / name).write_bytes(content)
        progress = backup.Progress(lambda _: None, "s1", 1)
        files[name] = backup._copy(shard / name, tmp_path / name, len(content), progress)
    manifest = {"format": backup.FORMAT, "made_at": 1, "shards": {"s1": files}}
    (shard.parent / backup.MANIFEST).write_text(json.dumps(manifest))
    return shard.parent


def refused(tmp_path: Path, made: Path, reason: str) -> None:
    cluster = Cluster(for_tests(tmp_path / "target", shards=1))
    with pytest.raises(ClusterError, match=reason):
        backup.restore(cluster, made, lambda _: None)
    assert not (tmp_path / "target" / "shards").exists()


@pytest.mark.parametrize("content", [b"snapshoT", b"snapsho", b"snapshot and more"])
def test_a_damaged_backup_is_not_restored(tmp_path: Path, made: Path, content: bytes) -> None:
    (made / "s1" / "1.snap").write_bytes(content)
    if content.startswith(b"snapshot"):
        # Bytes after the end of the backed-up part do not count.
        cluster = Cluster(for_tests(tmp_path / "target", shards=1))
        backup.restore(cluster, made, lambda _: None)
        assert (tmp_path / "target" / "shards" / "s1" / "1.snap").read_bytes() == b"snapshot"
    else:
        refused(tmp_path, made, "damaged")


def test_an_incomplete_backup_is_not_restored(tmp_path: Path, made: Path) -> None:
    manifest = json.loads((made / backup.MANIFEST).read_text())
    for wrong, reason in (
        ("{", "no backup"),
        (json.dumps({**manifest, "format": 99}), "format 99"),
        (json.dumps({**manifest, "shards": {"../s1": {}}}), "outside"),
        (json.dumps({**manifest, "shards": {"s1": {"../../x": {}}}}), "outside"),
    ):
        (made / backup.MANIFEST).write_text(wrong)
        refused(tmp_path, made, reason)
    (made / backup.MANIFEST).write_text(json.dumps(manifest))
    (made / "s1" / "1.xlog").unlink()
    refused(tmp_path, made, "No such file")
    refused(tmp_path, tmp_path / "nothing", "no backup")


def test_a_backup_of_a_cluster_that_does_not_run_fails_in_one_line(tmp_path: Path) -> None:
    cluster = Cluster(for_tests(tmp_path / "idle", shards=1))
    cluster.layout.make(cluster.config)
    with pytest.raises(ClusterError, match="does not answer"):
        backup.backup(cluster, tmp_path / "backup", lambda _: None)
    assert not (tmp_path / "backup").exists()


def test_progress_is_reported_regularly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("localcluster.backup.time.monotonic", lambda: now)
    said: list[str] = []
    progress = backup.Progress(said.append, "s1", 4 * 2**20)
    for _ in range(4):
        progress.add(2**19)
        now += 0.6
        progress.add(2**19)
    assert said == ["s1: 50 % of 4 MiB", "s1: 100 % of 4 MiB"]
