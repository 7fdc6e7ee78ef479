"""From a single machine to a cluster of replica sets, by export and import, while the old one serves reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_tests
from clusterctl.engine import Engine
from tests.client.command import Command
from tests.conftest import NewCluster
from tests.faults.load import login

KEYS = 3000
VALUES: list[object] = [None, {}, [], 1, 1.0, "é", 2**63, {"nested": [{"n": None}]}]

pytestmark = pytest.mark.timeout(240)


@contextmanager
def read_all_the_time(base_url: str, token: str) -> Iterator[list[int]]:
    """Read some keys repeatedly; the statuses of the answers."""
    statuses: list[int] = []
    stop = threading.Event()

    def read_on() -> None:
        with httpx.Client(base_url=base_url, headers={"authorization": token}, trust_env=False, timeout=20) as http:
            while not stop.is_set():
                statuses.append(http.post("/api/read", json={"keys": ["moved:1", "moved:2"]}).status_code)

    thread = threading.Thread(target=read_on)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join(30)


def test_all_keys_are_moved_to_a_cluster_with_values_and_expiries(
    new_cluster: NewCluster, engine: Engine, tmp_path: Path
) -> None:
    old = new_cluster(shards=2, workers=1)
    old.start()
    settings = {"TARANTKV_BUCKET_COUNT": "300"}
    new = ReplicatedCluster(of_tests(tmp_path / "new", engine, shards=2, replicas=1, settings=settings))
    new.start()
    try:
        tokens = [login(each.base_url, each.admin_user, each.admin_password) for each in (old, new)]
        this, that = (Command(tmp_path, each.base_url, token) for each, token in zip((old, new), tokens, strict=True))
        data = {f"moved:{number}": VALUES[number % len(VALUES)] for number in range(KEYS)}
        with httpx.Client(base_url=old.base_url, headers={"authorization": tokens[0]}, trust_env=False) as http:
            http.post("/api/write", json={"data": data, "options": {"moved:7": {"ttl": 3600}}}).raise_for_status()
        with read_all_the_time(old.base_url, tokens[0]) as statuses:
            assert this.run("export", "-o", "all.ndjson").code == 0
            assert that.done("import", "all.ndjson")[-1] == {
                "lines": KEYS,
                "applied": KEYS,
                "already_there": 0,
                "rejected": 0,
            }
            assert that.run("export", "-o", "moved.ndjson").code == 0
            ended = this.run("diff", "all.ndjson", "moved.ndjson")
        assert ended.records() == [{"same": KEYS, "missing": 0, "added": 0, "changed": 0}]
        assert ended.code == 0
        assert set(statuses) == {200}
        that.done("set", "moved:3", "7")
        assert that.run("export", "-o", "changed.ndjson").code == 0
        assert this.run("diff", "all.ndjson", "changed.ndjson").records()[0] == {"key": "moved:3", "is": "changed"}
        # The same through a pipe, for which no disk space is needed.
        piped = that.run("import", "-", stdin=this.run("export").out)
        assert piped.records()[-1]["applied"] == KEYS
        assert that.run("diff", "-", "all.ndjson", stdin=that.run("export").out).code == 0
    finally:
        new.stop()
