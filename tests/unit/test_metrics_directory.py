"""The directory of the metrics of several api processes: one that a killed api left behind is removed by the next."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from api.ops.metrics_directory import OWNER, PREFIX, metrics_directory

OWNING = """
import sys
from api.ops.metrics_directory import metrics_directory
with metrics_directory() as directory:
    print(directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_the_directory_of_an_api_that_was_killed_is_removed_and_that_of_another_is_kept(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}of-an-earlier-version").mkdir()
    with subprocess.Popen([sys.executable, "-c", OWNING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        try:
            directory = Path(other.stdout.readline().decode().strip())
            (directory / "counter_1.db").write_bytes(b"numbers")
            with metrics_directory():
                assert (directory / OWNER).exists()
        finally:
            other.kill()
    assert directory.exists()
    with metrics_directory() as own:
        assert sorted(tmp_path.iterdir()) == sorted([Path(own), tmp_path / f"{PREFIX}of-an-earlier-version"])


def test_an_api_ends_cleanly_even_if_its_directory_was_already_removed(tmp_path: Path) -> None:
    with metrics_directory() as directory:
        (Path(directory) / OWNER).unlink()
        Path(directory).rmdir()
    assert list(tmp_path.iterdir()) == []
