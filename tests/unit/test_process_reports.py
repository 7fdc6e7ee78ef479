"""What a process reports to its siblings. If it cannot, its requests are served as before."""

import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from api.ops import process_memory
from api.ops.lane_states import LaneStates
from api.ops.metrics import MULTIPROCESS_DIRECTORY
from api.ops.process_reports import ProcessReports
from api.ops.recent import Problems, Recent


def reports(process: str) -> ProcessReports:
    lanes = LaneStates(list)
    return ProcessReports(Recent(), Problems(), lambda: 0, dict, process, lambda: 0, cast("Any", lanes))


def test_a_process_that_cannot_report_continues_and_logs_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "reports"
    monkeypatch.setenv(MULTIPROCESS_DIRECTORY, str(directory))
    own = reports("one")
    for _ in range(2):
        for _ in range(3):
            own.write()
        directory.mkdir()
        own.write()
        assert len(list(directory.iterdir())) == 1
        shutil.rmtree(directory)
    assert [record.message for record in caplog.records] == [
        "this process cannot report to the others of this machine",
    ] * 2


def test_a_process_without_free_file_descriptors_reports_no_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert process_memory.resident_bytes() > 0
    monkeypatch.setattr(process_memory, "_STATM", tmp_path / "cannot be opened")
    assert process_memory.resident_bytes() == 0
