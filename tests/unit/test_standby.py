"""Which workers read a shard's stream, and for how long a standby joins them."""

import pytest

from worker import standby as standby_module
from worker.standby import HELP_S, LATE_MS, POLL_EVERY_S, QUIET, Standby

PRESENT = [b"c", b"a", b"d", b"b"]


class Time:
    """Moves the module's clock."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(standby_module, "time", time)
    return time


def standing_by() -> Standby:
    standby = Standby(0, "z")
    standby.announced([b"a", b"z"])
    assert not standby.reads()
    return standby


def test_a_worker_reads_as_long_as_it_does_not_know_the_other_workers() -> None:
    standby = Standby(0, "z")
    assert standby.reads()
    standby.announced([b"a", b"z"])
    assert not standby.reads()
    standby.announced([])
    assert standby.reads()
    standby.announced([b"z"])
    assert standby.reads()


@pytest.mark.parametrize("count", range(1, 9))
def test_half_of_the_workers_divide_the_shards_and_each_shard_has_one_reader(count: int) -> None:
    names = [f"worker-{number}" for number in range(count)]
    parts = {(name, shard): Standby(shard, name) for name in names for shard in range(12)}
    for part in parts.values():
        part.announced([name.encode() for name in reversed(names)])
    for shard in range(12):
        assert sum(parts[name, shard].reads() for name in names) == 1
    readers = {name for name in names if any(parts[name, shard].reads() for shard in range(12))}
    assert len(readers) == max(1, count // 2)


def test_a_standby_that_finds_a_late_frame_reads_for_a_while(time: Time) -> None:
    standby = standing_by()
    standby.polled(None)
    standby.polled(LATE_MS - 1)
    assert not standby.reads()
    standby.polled(LATE_MS)
    time.now += HELP_S - 0.01
    assert standby.reads()
    time.now += 0.02
    assert not standby.reads()


def test_if_the_clock_was_set_back_every_frame_counts_as_late(time: Time) -> None:
    del time
    standby = standing_by()
    standby.polled(-1)
    assert standby.reads()


def test_standbys_share_the_polls_and_the_pause_between_them_is_bounded() -> None:
    def pauses(others: int, waited_ms: int | None = 0) -> list[float]:
        standby = Standby(0, "z")
        standby.announced([b"z", *(b"%d" % number for number in range(others))])
        standby.polled(waited_ms)
        return [standby.pause_s() for _ in range(100)]

    assert POLL_EVERY_S / 2 <= min(pauses(1)) < max(pauses(1)) <= POLL_EVERY_S * 3 / 2
    assert min(pauses(4)) >= 2 * POLL_EVERY_S
    assert min(pauses(1, None)) >= QUIET * POLL_EVERY_S / 2
    assert max(pauses(1000, None)) < 1
