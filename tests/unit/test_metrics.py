import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_a_process_that_died_counts_no_longer_as_waiting_but_what_it_did_stays(shared: dict[str, str]) -> None:
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
