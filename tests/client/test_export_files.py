"""The file that an export continues: another file is refused and stays unchanged."""

import os
from argparse import Namespace
from contextlib import closing
from pathlib import Path

import pytest
from tarantkv.cli import main
from tarantkv.cli.scans import _Begun, _opened

GONE = ("--resume", "--url", "http://127.0.0.1:1", "--deadline", "0.1")
NOTHING = _Begun(None, None, 0, 0, complete=False)
ITEM, CURSOR = '{"key": "a", "value": 1}\n', '{"cursor": "c", "items": 1}\n'


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "out.ndjson"


@pytest.mark.parametrize(
    "content", ["no line end", "key,value\na,1\n", ITEM + '{"a": 1}\n', '{"key": 5}\n', '{"cursor": 5}\n', ITEM + "cut"]
)
def test_a_file_that_is_not_an_export_is_not_overwritten(
    path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path.write_text(content)
    assert main(("export", "-o", str(path), *GONE)) == 2
    assert f"{path} is no export" in capsys.readouterr().err
    assert path.read_text() == content


@pytest.mark.parametrize(
    ("rest", "kept"),
    [
        ("", ITEM + CURSOR),
        ('{"key": "b", "val', ITEM + CURSOR),
        ("{", ITEM + CURSOR),
        # As the api writes it where it ends an export: an import would take what comes behind it for incomplete.
        ('{"error": {"status": 503}, "cursor": "later"}\n', ITEM + CURSOR),
    ],
)
def test_an_export_continues_after_its_last_complete_line(
    path: Path, capsys: pytest.CaptureFixture[str], rest: str, kept: str
) -> None:
    path.write_text(ITEM + CURSOR + rest)
    assert main(("export", "-o", str(path), *GONE)) == 5
    assert f"go on with the cursor {'later' if 'later' in rest else 'c'}" in capsys.readouterr().err
    assert path.read_text() == kept


def test_a_file_without_a_cursor_is_begun_anew(path: Path) -> None:
    path.write_text(ITEM)
    assert main(("export", "-o", str(path), *GONE)) == 5
    assert not path.read_text()


@pytest.mark.parametrize(("selection", "code"), [("b", 2), ("--start=b", 2), ("--end=a", 2), ("a", 5), ("--end=b", 5)])
def test_an_export_of_other_keys_is_not_continued(
    path: Path, capsys: pytest.CaptureFixture[str], selection: str, code: int
) -> None:
    path.write_text(ITEM + CURSOR)
    assert main(("export", selection, "-o", str(path), *GONE)) == code
    assert ("is an export of other keys" in capsys.readouterr().err) is (code == 2)
    assert path.read_text() == ITEM + CURSOR


def test_a_pipe_gets_an_export_and_cannot_be_continued(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(path)
    with closing(os.fdopen(os.open(path, os.O_RDWR), "rb")) as reader:
        with _opened(Namespace(output=str(path)), NOTHING) as file:
            file.write(ITEM.encode())
        assert reader.readline() == ITEM.encode()
    assert main(("export", "-o", str(path), *GONE)) == 2
    assert f"{path} is no file" in capsys.readouterr().err


def test_a_full_disk_is_reported_with_the_file() -> None:
    with (
        pytest.raises(OSError, match="No space left") as caught,
        _opened(Namespace(output="/dev/full"), NOTHING) as out,
    ):
        out.write(ITEM.encode())
    assert caught.value.filename == "/dev/full"
