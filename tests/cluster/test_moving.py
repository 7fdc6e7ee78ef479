"""A run that moves buckets: paced, stopped and repeated, and refused while it would delay requests."""

from collections.abc import Callable, Sequence

import pytest

from clusterctl import moving
from clusterctl.moving import MOST_FAILURES, MovesError, move_all
from clusterctl.rebalance import Progress
from clusterctl.storages import Buckets, StorageError
from protocol.stopping import Stop

COUNT = 30


class FakeShards:
    """Two shards with half of the buckets each, and an empty one. `before` may raise for a move, by its number."""

    def __init__(self) -> None:
        self.owned = {"s1": set(range(1, 16)), "s2": set(range(16, COUNT + 1)), "s3": set[int]()}
        self.passing: set[int] = set()
        self.away: list[str] = []
        self.sent: list[int] = []
        self.looked = 0
        self.before: Callable[[int], None] = lambda _: None
        self.after: Callable[[int], None] = lambda _: None

    @property
    def names(self) -> Sequence[str]:
        return tuple(self.owned)

    def faults(self) -> list[str]:
        return self.away

    def buckets(self, name: str) -> Buckets:
        self.looked += 1
        return Buckets(sorted(self.owned[name]), sorted(self.passing) if name == "s1" else (), ())

    def send(self, bucket: int, source: str, target: str) -> None:
        self.sent.append(bucket)
        self.before(len(self.sent))
        self.owned[source].remove(bucket)
        self.owned[target].add(bucket)
        self.after(len(self.sent))


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> FakeShards:
    for name in ("LEAST_REST_S", "FIRST_WAIT_S", "LAST_WAIT_S", "_LOOK_S"):
        monkeypatch.setattr(moving, name, 0.0001)
    for name in ("SETTLE_S", "AWAY_S"):
        monkeypatch.setattr(moving, name, 0.05)
    return FakeShards()


def run(shards: FakeShards, stop: Stop | None = None, **weights: float) -> list[str]:
    said: list[Progress] = []
    lines: list[str] = []

    def report(progress: Progress) -> None:
        said.append(progress)
        lines.append(f"{progress.done}/{progress.total}")

    done = move_all(shards, {"s1": 1, "s2": 1, "s3": 1, **weights}, COUNT, stop or Stop(), report)
    return [*lines, "done" if done else "stopped"]


def sizes(shards: FakeShards) -> list[int]:
    return [len(buckets) for buckets in shards.owned.values()]


def test_a_shard_is_filled_and_drained_again(shards: FakeShards) -> None:
    assert run(shards) == [*(f"{done}/10" for done in range(11)), "done"]
    assert sizes(shards) == [10, 10, 10]
    assert run(shards) == ["0/0", "done"], "it may be repeated"
    run(shards, s3=0)
    assert sizes(shards) == [15, 15, 0]


def test_a_run_that_was_stopped_continues_where_it_was(shards: FakeShards) -> None:
    stop = Stop()
    shards.after = lambda number: stop.set() if number == 4 else None
    assert run(shards, stop)[-1] == "stopped"
    assert sizes(shards)[2] == 4, "the present move was finished"
    assert run(shards) == [*(f"{done}/6" for done in range(7)), "done"]
    assert len(set(shards.sent)) == len(shards.sent) == 10


def test_no_bucket_moves_while_an_instance_is_down(shards: FakeShards) -> None:
    shards.away = ["s1: s1-2 is down"]
    with pytest.raises(MovesError, match="s1-2 is down"):
        run(shards)
    assert shards.sent == []


def test_a_run_continues_if_an_instance_is_down_for_a_moment(
    shards: FakeShards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance that has just started and reads its configuration is down for a moment."""
    monkeypatch.setattr(moving, "AWAY_S", 30.0)
    told = [["s3: s3-3 is down"], ["s3: s3-3 is down"], []]
    shards.faults = lambda: told.pop(0)  # type: ignore[method-assign]
    assert run(shards)[-1] == "done"


def test_a_move_that_fails_is_repeated(shards: FakeShards) -> None:
    def fail(number: int) -> None:
        if number < 4:
            raise StorageError("no leader")

    shards.before = fail
    assert run(shards)[-1] == "done"
    assert shards.sent[:4] == [shards.sent[0]] * 4


def test_a_move_whose_answer_was_lost_is_not_made_twice(shards: FakeShards) -> None:
    def lose(number: int) -> None:
        if number == 1:
            raise StorageError("no answer")

    shards.after = lose
    assert run(shards)[-1] == "done"
    assert len(shards.sent) == 10


def test_moves_that_fail_for_ever_end_the_run_and_say_why(shards: FakeShards) -> None:
    def fail(_: int) -> None:
        shards.away = ["s3: s3-1 is down"]
        raise StorageError("timed out")

    shards.before = fail
    with pytest.raises(MovesError, match=r"timed out; s3: s3-1 is down; run this again"):
        run(shards)
    assert len(shards.sent) == MOST_FAILURES + 1


def test_a_run_waits_for_moves_that_an_earlier_run_left_unfinished(
    shards: FakeShards, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards.owned["s1"].remove(1)
    shards.passing = {1}
    with pytest.raises(MovesError, match="1 buckets are still moving, the first of them bucket 1"):
        run(shards)
    looked = shards.buckets

    def settle(name: str) -> Buckets:
        if shards.looked > 40:
            shards.passing = set()
            shards.owned["s1"].add(1)
        return looked(name)

    monkeypatch.setattr(moving, "SETTLE_S", 30.0)
    shards.looked = 0
    shards.buckets = settle  # type: ignore[method-assign]
    assert run(shards)[-1] == "done"


@pytest.mark.parametrize(
    ("more", "less", "fault"), [(1, 0, "two shards own"), (0, 7, "owns 1 of the buckets.* bucket 7")]
)
def test_an_incomplete_map_is_an_error(shards: FakeShards, more: int, less: int, fault: str) -> None:
    shards.owned["s2"] |= {more} - {0}
    shards.owned["s1"] -= {less}
    with pytest.raises(MovesError, match=fault):
        run(shards)
