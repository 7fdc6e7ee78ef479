"""The file that an export goes on with: another file is refused and stays as it is."""

from pathlib import Path

import pytest
from tarantkv.cli import main

GONE = ("--resume", "--url", "http://127.0.0.1:1", "--deadline", "0.1")
ITEM, CURSOR = '{"key": "a", "value": 1}\n', '{"cursor": "c", "items": 1}\n'


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "out.ndjson"


@pytest.mark.parametrize(
    "content", ["no line end", "key,value\na,1\n", ITEM + '{"a": 1}\n', '{"key": 5}\n', '{"cursor": 5}\n', ITEM + "cut"]
)
def test_a_file_that_is_no_export_is_not_written_over(
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
def test_an_export_goes_on_behind_its_last_whole_line(
    path: Path, capsys: pytest.CaptureFixture[str], rest: str, kept: str
) -> None:
    path.write_text(ITEM + CURSOR + rest)
    assert main(("export", "-o", str(path), *GONE)) == 5
    assert f"go on with the cursor {'later' if 'later' in rest else 'c'}" in capsys.readouterr().err
    assert path.read_text() == kept
