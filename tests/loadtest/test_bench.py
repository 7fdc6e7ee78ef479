"""One very short benchmark of every system; skipped if its packages are not installed (make bench installs them)."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from loadtest.bench.__main__ import main
from loadtest.bench.results import Results

installed = all(map(find_spec, ("asynctnt", "fastapi", "matplotlib", "taskiq", "taskiq_redis"))) and shutil.which("wrk")


# It takes seconds on a quiet machine; with other test processes the four systems start slowly.
@pytest.mark.timeout(180)
@pytest.mark.skipif(not installed, reason="the benchmark's own packages are not installed")
def test_every_system_answers_without_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--quick", "--seconds", "0.3", "--warm-up", "0.1", "--keys", "500"]
    assert main([*short, "--batches", "10", "--connections", "4", "--out", str(tmp_path)]) == 0
    results = msgspec.json.decode((tmp_path / "results.json").read_bytes(), type=Results)
    assert results.systems == ["tarant-kv", "fastapi", "taskiq", "floor"]
    assert {measurement.system for measurement in results.measurements} == set(results.systems)
    assert all(measurement.load.requests for measurement in results.measurements)
    assert results.errors == 0
    assert "CPU time per request" in capsys.readouterr().out
    assert not (tmp_path / "work").exists()
