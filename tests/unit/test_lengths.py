"""`scripts/lengths.py`: which files it counts, and how long one may be."""

from pathlib import Path

import pytest

from scripts.lengths import MAX_LINES, lengths, package, report, too_long


def write(path: Path, lines: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n" * lines)


def test_a_file_may_have_at_most_300_lines(tmp_path: Path) -> None:
    write(tmp_path / "api/http/just.py", MAX_LINES)
    write(tmp_path / "tests/unit/test_over.py", MAX_LINES + 1)
    assert too_long(lengths(tmp_path)) == ["tests/unit/test_over.py: 301 lines, 300 are allowed: split it"]


@pytest.mark.parametrize("name", ["long.py", "long.lua", "long.sh", "deep/er/long.py"])
def test_python_lua_and_shell_are_counted_wherever_they_are(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, 400)
    assert len(too_long(lengths(tmp_path))) == 1


@pytest.mark.parametrize("name", ["notes.md", ".venv/long.py", ".data/long.lua"])
def test_documents_and_files_in_hidden_folders_are_not_counted(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, 400)
    assert lengths(tmp_path) == {}


def test_the_report_has_a_line_for_each_package_and_a_total(tmp_path: Path) -> None:
    for name, lines in {"api/http/a.py": 10, "api/http/b.py": 30, "api/app.py": 50, "worker/c.py": 7}.items():
        write(tmp_path / name, lines)
    assert [line.split() for line in report(lengths(tmp_path))][1:] == [
        ["api", "50", "1", "50", "50"],
        ["api/http", "40", "2", "20", "30"],
        ["worker", "7", "1", "7", "7"],
        ["all", "97", "4", "20", "50"],
    ]


def test_a_file_beside_the_packages_is_counted_too() -> None:
    assert package(Path("run.sh")) == "."
