"""A run that moves buckets reports to the shards: to each its own moves, once a second, and the end of the run."""

from collections.abc import Sequence

from clusterctl.rebalance import Move, Progress, Told
from clusterctl.storages import StorageError
from clusterctl.telling import Telling

PLANNED = [Move(1, "s1", "s3"), Move(9, "s2", "s3"), Move(2, "s1", "s3"), Move(3, "s1", "s4")]


class Shards:
    def __init__(self) -> None:
        self.told: list[tuple[str, list[Told]]] = []
        self.down: set[str] = set()

    def tell(self, name: str, moves: Sequence[Told]) -> None:
        if name in self.down:
            raise StorageError(f"{name} has no leader")
        self.told.append((name, list(moves)))


def test_each_shard_gets_its_moves_and_at_last_the_end_of_the_run() -> None:
    now, shards = [0.0], Shards()
    telling, progress = Telling(shards, lambda: now[0]), Progress.of(PLANNED, 0.0)
    telling.tell(progress)
    assert shards.told == [
        ("s1", [Told("s3", 0, 2, None), Told("s4", 0, 1, None)]),
        ("s2", [Told("s3", 0, 1, None)]),
    ]
    shards.told.clear()
    for second, move in enumerate(PLANNED[:3]):
        now[0] = (second + 1) / 3
        progress.moved(now[0], move)
        telling.tell(progress)
    (left_s,) = {each.left_s for _, moves in shards.told for each in moves}
    assert shards.told == [("s1", [Told("s4", 0, 1, left_s)]), ("s2", [])], (
        "once a second, and only the remaining moves"
    )
    assert left_s is not None
    assert round(left_s, 3) == 0.333
    shards.told.clear()
    telling.end()
    assert shards.told == [("s1", []), ("s2", [])]


def test_a_shard_that_gets_no_report_delays_no_move() -> None:
    shards = Shards()
    telling = Telling(shards)
    shards.down = {"s1"}
    telling.tell(Progress.of(PLANNED, 0.0))
    assert [name for name, _ in shards.told] == ["s2"]
    shards.down = {"s2"}
    telling.end()
    assert shards.told[1:] == [("s1", [])]
