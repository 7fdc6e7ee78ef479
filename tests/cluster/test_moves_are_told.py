"""The status of the api shows a run that moves buckets, from its first move to its last."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusterctl import growth
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_tests, remember
from clusterctl.engine import Engine
from protocol.stopping import Stop
from tests.contract.waiting import until
from tests.faults.load import login


@pytest.mark.long
@pytest.mark.timeout(300)
def test_moves_are_in_the_status_while_they_run_and_not_after(engine: Engine, tmp_path: Path) -> None:
    settings = {"TARANTKV_BUCKET_COUNT": "900"}
    cluster = ReplicatedCluster(of_tests(tmp_path / "data", engine, shards=2, replicas=1, settings=settings))
    remember(cluster.config)
    cluster.start()
    try:
        token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
        with httpx.Client(base_url=cluster.base_url, headers={"Authorization": token}, trust_env=False) as http:

            def moves() -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = []
                with suppress(httpx.HTTPError, LookupError):
                    found = http.get("/api/status").json()["moves"]
                return found

            seen: dict[str, list[dict[str, Any]]] = {}
            stop, done = Stop(), threading.Event()

            def run() -> None:
                growth.add(cluster, stop, lambda _: None)
                done.set()

            thread = threading.Thread(target=run)
            thread.start()
            try:
                until(lambda: bool(moves()), 120, "no move is shown")
                while thread.is_alive():
                    for row in moves():
                        seen.setdefault(row["source"], []).append(row)
                    done.wait(0.3)
            finally:
                stop.set()
                thread.join(60)
            assert done.is_set()
            assert {row["target"] for rows in seen.values() for row in rows} == {"s3"}
            for rows in seen.values():
                counts = [row["done"] for row in rows]
                assert counts == sorted(counts)
                assert all(0 <= row["done"] < row["total"] == 150 for row in rows)
            until(lambda: moves() == [], 20, "moves that have ended are still shown")
    finally:
        cluster.stop()
