"""The metrics of several processes, of which one has died."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.ops.metrics import Metrics

COUNT = """
from api.ops.metrics import Metrics
metrics = Metrics()
metrics.process(7, {"s1": 3.5}, 1000)
metrics.took("s1", 0.015)
metrics.flush()
metrics.outcomes("s1", 0, 1)
"""
RENDER = "from api.ops.metrics import Metrics; import sys; sys.stdout.buffer.write(Metrics().render())"


@pytest.fixture
def shared(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}


def test_the_gauges_of_a_dead_process_end_but_its_counters_stay(shared: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", COUNT], env=shared, check=True)
    rendered = subprocess.run([sys.executable, "-c", RENDER], env=shared, check=True, capture_output=True, text=True)
    lines = rendered.stdout.splitlines()
    assert 'tarantkv_queue_oldest_seconds{shard="s1"} 3.5' not in lines
    assert 'tarantkv_chunk_duration_seconds_bucket{le="0.02",shard="s1"} 1.0' in lines
    assert 'tarantkv_chunk_outcomes_total{shard="s1",status="ok"} 1.0' in lines
    assert [line for line in lines if line.startswith("tarantkv_chunks_waiting ")] in (
        [],
        ["tarantkv_chunks_waiting 0.0"],
    )


def test_the_status_counts_answers_by_status_without_long_and_internal_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    metrics = Metrics()
    for route in ("/api/write", "/api/status", "/api/export", "/api/import", "/health/ready", "/console/api/status"):
        metrics.request(route, 200, 0.003)
    metrics.request("/api/read", 503, 0.001)
    metrics.refused("/api/read", 4)
    metrics.resent(2)
    *_, answers = metrics.flush()
    assert {status: sum(tally.counts) for status, tally in answers.by_status.items()} == {200: 1, 503: 1}
    assert answers.refused == 4
    assert metrics.chunks_resent == 2
    *_, answers = metrics.flush()
    assert (answers.by_status, answers.refused) == ({}, 0)
