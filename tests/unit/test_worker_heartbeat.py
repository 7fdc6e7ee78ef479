"""A worker shows that it is healthy by touching a file, and continues to work if it cannot."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from protocol.announced import Address
from worker.heartbeat import Heartbeat
from worker.loops import Loops


def test_a_worker_that_cannot_touch_its_file_continues_and_logs_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "gone"
    heartbeat = Heartbeat(str(directory / "heartbeat"))
    for _ in range(2):
        for _ in range(3):
            heartbeat.beat()
        directory.mkdir()
        heartbeat.beat()
        (directory / "heartbeat").unlink()
        directory.rmdir()
    assert [record.message for record in caplog.records] == ["the heartbeat file cannot be touched"] * 2


class EndingLoop:
    """A loop that ends after some waits for it."""

    name = "s1"
    failure: BaseException | None = None
    last_turn = last_frame = 0.0

    def __init__(self, waits: int) -> None:
        self._waits = waits

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing: it ends by itself."""

    def join(self, timeout: float | None = None) -> None:
        assert timeout is not None
        self._waits -= 1

    def is_alive(self) -> bool:
        return self._waits > 0

    def update(self, instances: Sequence[Address], position: int) -> None:
        """Do nothing."""


def test_a_worker_shows_that_it_is_healthy_while_it_drains() -> None:
    """A drain may be set to take longer than a heartbeat may be old."""
    beats: list[int] = []
    loops = Loops(lambda key, instances, position: EndingLoop(5), {"s1": ()})  # noqa: ARG005 - one loop for all
    loops.ensure({"s1": ()})
    assert loops.drain(60.0, lambda: beats.append(1))
    assert len(beats) == 5
