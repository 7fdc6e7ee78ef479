from pathlib import Path

import pytest

from localcluster import dotenv


def test_the_first_call_writes_every_secret_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert dotenv.ensure(path) == sorted(dotenv.random_secrets())
    assert path.stat().st_mode & 0o777 == 0o600
    settings = dotenv.read(path)
    assert settings[dotenv.ADMIN_USER] == "admin"
    assert len(settings[dotenv.JWT_SECRET]) >= 32


def test_secrets_differ_from_call_to_call(tmp_path: Path) -> None:
    dotenv.ensure(tmp_path / "a")
    dotenv.ensure(tmp_path / "b")
    assert dotenv.read(tmp_path / "a")[dotenv.JWT_SECRET] != dotenv.read(tmp_path / "b")[dotenv.JWT_SECRET]


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    dotenv.ensure(path)
    before = path.read_bytes()
    assert dotenv.ensure(path) == []
    assert path.read_bytes() == before


def test_what_is_there_is_kept_and_what_is_missing_or_empty_is_added(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nTARANTKV_PORT=9000\nTARANTKV_JWT_SECRET=\nTARANTKV_ADMIN_USER=root")
    added = dotenv.ensure(path)
    assert dotenv.JWT_SECRET in added
    assert dotenv.ADMIN_USER not in added
    assert path.read_text().startswith("# mine\nTARANTKV_PORT=9000\nTARANTKV_ADMIN_USER=root\n")
    assert path.read_text().count(dotenv.JWT_SECRET) == 1


def test_the_mode_is_mended(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    dotenv.ensure(path)
    path.chmod(0o644)
    dotenv.ensure(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("  export NAME = value  ", "value"),
        ("NAME='a b'", "a b"),
        ('NAME="a=b"', "a=b"),
        ("NAME=", ""),
        ("NAME='", "'"),
        ("NAME=a#b", "a#b"),
    ],
)
def test_a_line_is_read(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"# comment\n\n{line}\n")
    assert dotenv.read(path) == {"NAME": value}


def test_a_line_that_is_none_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\nwhat is this\n")
    with pytest.raises(dotenv.DotenvError, match=r":2: expected NAME=value"):
        dotenv.read(path)
