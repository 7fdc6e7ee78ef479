"""Two exports are compared: which keys are missing, added or changed, and what does not count as a difference."""

from pathlib import Path

import pytest
from tarantkv.cli import main

END = '{"end": true, "items": 1}\n'


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "first", tmp_path / "second"


def diff(files: tuple[Path, Path], first: str, second: str, *options: str) -> int:
    for path, content in zip(files, (first, second), strict=True):
        path.write_text(content)
    return main(["diff", *map(str, files), "--json", *options])


def test_differences_are_printed_and_counted(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    first = (
        '{"key":"a","value":1,"version":"x"}\n{"cursor":"c","items":1}\n{"key":"b","value":1}\n{"key":"d","value":1}\n'
        '{"key":"e","value":1,"expires_at":4102444800}\n{"key":"é","value":1}\n'
    )
    second = (
        '{"key":"a","value":1,"version":"y"}\n{"key":"b","value":1.0}\n{"key":"c","value":1}\n'
        '{"key":"e","value":1,"expires_at":4102444801}\n{"key":"é","value":1}\n'
    )
    assert diff(files, first + END, second + END) == 1
    assert capsys.readouterr().out.splitlines() == [
        '{"key":"b","is":"changed"}',
        '{"key":"c","is":"added"}',
        '{"key":"d","is":"missing"}',
        '{"key":"e","is":"changed"}',
        '{"same":2,"missing":1,"added":1,"changed":2}',
    ]
    assert diff(files, first + END, second + END, "--limit", "1") == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "3 more differ" in said.err


def test_a_key_that_has_expired_in_one_export_is_not_a_difference(files: tuple[Path, Path]) -> None:
    assert diff(files, '{"key":"a","value":1,"expires_at":7}\n' + END, END) == 0
    assert diff(files, END, '{"key":"a","value":1,"expires_at":7}\n' + END) == 0
    assert diff(files, '{"key":"a","value":1,"expires_at":4102444800}\n' + END, END) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"key":"a","value":1}\n', "no whole export"),
        ("nonsense\n", "no object of JSON"),
        ('{"key":"b","value":1}\n{"key":"a","value":1}\n' + END, "not in order"),
    ],
)
def test_a_file_that_is_not_a_complete_export_is_refused(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    assert diff(files, END, content) == 2
    assert said in capsys.readouterr().err
