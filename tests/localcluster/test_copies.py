"""Clones are copied, moved or emptied while they run: a command never affects another clone's processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.localcluster.clones import Clone, lives, make_clone


@pytest.fixture
def running(clone: Clone) -> Clone:
    assert clone.make("up").returncode == 0
    return clone


@pytest.fixture(scope="module")
def one_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    clone = make_clone(tmp_path_factory.mktemp("copies") / "clone")
    yield clone
    clone.end()


@pytest.fixture
def staying(one_for_all: Clone) -> Clone:
    """A running clone for tests that leave it running."""
    assert one_for_all.make("up").returncode == 0
    return one_for_all


def ready(clone: Clone) -> bool:
    return "is ready" in clone.make("status").stdout


@pytest.mark.long
@pytest.mark.parametrize("options", [("-a",), ("-a", "-l")], ids=["copied", "with hard links"])
def test_a_copy_of_a_running_clone_does_not_affect_the_original(
    staying: Clone, tmp_path: Path, options: tuple[str, ...]
) -> None:
    running, before = staying, staying.processes()
    copy = running.copy(*options, to=tmp_path / "copy")
    try:
        up = copy.make("up")
        assert up.returncode != 0
        assert up.stderr.splitlines()[0].endswith("is taken; set TARANTKV_PORT")
        for target in ("status", "down", "clean"):
            copy.make(target)
            assert running.processes() == before
        # With its own ports it runs at the same time as the original.
        (copy.root / ".env").unlink()
        copy.settings()
        assert copy.make("up").returncode == 0
        assert not copy.processes().keys() & before.keys()
        assert running.processes() == before
        assert copy.make("down").returncode == 0
        assert copy.processes() == {}
        assert running.processes() == before
        assert ready(running)
    finally:
        copy.end()


def test_a_clone_that_was_moved_while_running_can_be_stopped_and_its_old_folder_is_free(
    running: Clone, tmp_path: Path
) -> None:
    before = running.processes()
    moved = Clone(running.root.rename(tmp_path / "moved"))
    second = moved.copy("-a", to=running.root)
    second.make("down")
    assert moved.processes() == before
    assert moved.make("down").returncode == 0
    assert not [pid for pid in before if lives(pid)]


@pytest.mark.parametrize("target", ["up", pytest.param("down", marks=pytest.mark.long)])
def test_stop_ends_programs_whose_data_directory_was_removed(running: Clone, target: str) -> None:
    before = running.processes()
    shutil.rmtree(running.layout.data_dir)
    assert running.make(target).returncode == 0
    assert not [pid for pid in before if lives(pid)]
    assert ready(running) == (target == "up")


def test_a_foreign_process_with_an_id_from_a_file_is_not_killed(staying: Clone) -> None:
    running, stranger = staying, psutil.Process()
    for name in ("redis", "api", "supervisord", "worker-1"):
        (running.layout.run_dir / f"{name}.pid").write_text(f"{stranger.pid}\n")
    assert running.make("down").returncode == 0
    assert running.make("up").returncode == 0
    assert stranger.is_running()
