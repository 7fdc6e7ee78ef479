"""The files that an import writes beside its input: a file of another kind is refused and stays unchanged."""

import json
import os
from contextlib import closing
from pathlib import Path

import pytest
from tarantkv.cli import main
from tarantkv.cli.exits import UsageError
from tarantkv.cli.journal import Journal
from tarantkv.cli.rejects import Rejects

WHAT = {"file": "1:ab"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "data.csv"
    path.write_text("key,value\na,1\n")
    return path


@pytest.mark.parametrize("content", ["key,value\na,1\n", "no line end", '[1]\n{"version": 1}\n', '{"key": "a"}'])
def test_a_file_that_is_not_a_journal_is_not_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other"
    path.write_text(content)
    for resume in (False, True):
        with pytest.raises(UsageError, match="other is no journal"):
            Journal(str(path), WHAT, "name", resume=resume)
    assert path.read_text() == content


def test_a_journal_with_lines_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(str(path), WHAT, "name", resume=False).close()
    whole = path.read_text()
    path.write_text(whole + '{"part": 1, "unknown": 2}\n')
    with pytest.raises(UsageError, match="journal is no journal"):
        Journal(str(path), WHAT, "name", resume=True)


def test_a_journal_whose_first_line_was_cut_off_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(str(path), WHAT, "name", resume=False).close()
    whole = path.read_bytes()
    for size in (0, 1, 30, len(whole) - 1):
        path.write_bytes(whole[:size])
        journal = Journal(str(path), WHAT, "name", resume=True)
        journal.close()
        assert not journal.resumed
        assert path.read_bytes() == whole


@pytest.mark.parametrize("option", ["--journal", "--rejected"])
def test_an_import_does_not_write_into_the_file_that_it_imports(
    data: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    whole = data.read_bytes()
    link = data.with_name("link")
    link.symlink_to(data)
    for path in (data, link):
        assert main(("import", str(data), option, str(path), "--url", "http://127.0.0.1:1", "--deadline", "0.1")) == 2
        assert f"{path} is the file that is imported" in capsys.readouterr().err
        assert data.read_bytes() == whole


def test_a_rejected_text_that_utf_8_cannot_express_is_written_with_its_escape(tmp_path: Path) -> None:
    path = tmp_path / "rejected"
    rejects = Rejects(str(path), 0)
    lines = [{"line": 1, "code": "invalid_value", "detail": "x", "text": "\ud800é\udcff"}]
    rejects.add(lines)
    assert [json.loads(line) for line in path.read_text().splitlines()] == lines
    assert rejects.size == path.stat().st_size


def test_a_device_cannot_be_a_journal_and_is_named_if_it_is_full() -> None:
    with pytest.raises(UsageError, match="/dev/full is no file"):
        Journal("/dev/full", WHAT, "name", resume=False)
    with pytest.raises(OSError, match="No space left") as caught:
        Rejects("/dev/full", 0).add([{"line": 1}])
    assert caught.value.filename == "/dev/full"


def test_a_pipe_must_be_imported_as_standard_input(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = data.with_name("pipe")
    os.mkfifo(pipe)
    with closing(os.fdopen(os.open(pipe, os.O_RDWR), "wb")) as writer:
        writer.write(b'{"key": "a", "value": 1}\n')
        writer.flush()
        assert main(("import", str(pipe), "--url", "http://127.0.0.1:1", "--deadline", "0.1")) == 2
    assert f"tarantkv import - < {pipe}" in capsys.readouterr().err


def test_an_import_that_stored_nothing_because_of_its_input_leaves_no_journal(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The corrected file would not fit the journal, and the import would be refused."""
    for resume in ((), ("--resume",)):
        assert main(("import", str(data), "--key", "name", "--url", "http://127.0.0.1:1", *resume)) == 2
        assert "the CSV has no column 'name'" in capsys.readouterr().err
        assert list(data.parent.glob("*.journal")) == []


def test_an_import_keeps_its_journal_if_something_may_have_been_stored(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = data.with_name("data.ndjson")
    lines.write_text('{"key": "a", "value": 1}\n')
    assert main(("import", str(lines), "--url", "http://127.0.0.1:1", "--deadline", "0.1")) != 0
    assert "--resume" in capsys.readouterr().err
    assert [path.name for path in data.parent.glob("*.journal")] == ["data.ndjson.journal"]
