"""The plan of moves: as few moves as possible, shards in turn, and each shard has its share at the end."""

from collections import Counter

import pytest

from clusterctl.rebalance import Move, PlanError, Progress, duration, moves, shares

Owners = dict[str, list[int]]


def after(owners: Owners, planned: list[Move]) -> Owners:
    """The owners after the moves; each move must be of a bucket that its source has."""
    left = {shard: set(buckets) for shard, buckets in owners.items()}
    for move in planned:
        left[move.source].remove(move.bucket)
        left.setdefault(move.target, set()).add(move.bucket)
    return {shard: sorted(buckets) for shard, buckets in left.items()}


def halves(count: int = 30_000) -> Owners:
    return {"s1": list(range(1, count // 2 + 1)), "s2": list(range(count // 2 + 1, count + 1))}


def runs(buckets: list[int]) -> int:
    return sum(1 for bucket in buckets if bucket - 1 not in set(buckets))


@pytest.mark.parametrize("count", [1, 2, 7, 30_000])
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 0), (0.5, 0.25, 0.1), (0, 0, 3)])
def test_shares_are_whole_numbers_by_weight_and_cover_all_buckets(count: int, weights: tuple[float, ...]) -> None:
    by_shard = dict(zip(("s1", "s2", "s3"), weights, strict=True))
    found = shares(by_shard, count)
    assert sum(found.values()) == count
    for shard, weight in by_shard.items():
        assert abs(found[shard] - count * weight / sum(weights)) < 1


def test_an_added_shard_gets_its_share_and_nothing_else_moves() -> None:
    owners = {**halves(), "s3": []}
    planned = moves(owners, {"s1": 1, "s2": 1, "s3": 1})
    assert Counter((move.source, move.target) for move in planned) == {("s1", "s3"): 5000, ("s2", "s3"): 5000}
    assert {shard: len(buckets) for shard, buckets in after(owners, planned).items()} == dict.fromkeys(owners, 10_000)


def test_a_drained_shard_keeps_nothing() -> None:
    owners = after({**halves(), "s3": []}, moves({**halves(), "s3": []}, dict.fromkeys(("s1", "s2", "s3"), 1)))
    left = after(owners, moves(owners, {"s1": 1, "s2": 1, "s3": 0}))
    assert {shard: len(buckets) for shard, buckets in left.items()} == {"s1": 15_000, "s2": 15_000, "s3": 0}


def test_the_buckets_of_a_shard_stay_a_few_ranges() -> None:
    """Each api gets all ranges of all shards."""
    owners = {**halves(300), "s3": [], "s4": []}
    grown = after(owners, moves(owners, dict.fromkeys(owners, 1)))
    assert max(map(runs, grown.values())) <= 2
    assert max(map(runs, after(grown, moves(grown, {**dict.fromkeys(owners, 1), "s3": 0})).values())) <= 4


def test_shards_give_buckets_in_turn() -> None:
    planned = moves({**halves(60), "s3": []}, {"s1": 1, "s2": 1, "s3": 1})
    assert [move.source for move in planned] == ["s1", "s2"] * 10


def test_a_plan_that_was_interrupted_continues_where_it_was() -> None:
    owners = {**halves(600), "s3": []}
    weights = {"s1": 1, "s2": 1, "s3": 1}
    planned = moves(owners, weights)
    some = after(owners, planned[:77])
    rest = moves(some, weights)
    assert len(rest) == len(planned) - 77
    assert moves(after(some, rest), weights) == []


@pytest.mark.parametrize(
    ("owners", "weights", "fault"),
    [
        ({"s1": [1, 2], "s2": [2]}, {"s1": 1, "s2": 1}, "two shards own"),
        ({"s1": [1], "s2": [2]}, {"s1": 1}, "have no weight: s2"),
        ({"s1": [1]}, {"s1": 0}, "no shard is left"),
        ({"s1": [1]}, {"s1": -1, "s2": 2}, "below 0"),
    ],
)
def test_impossible_shares_are_refused(owners: Owners, weights: dict[str, float], fault: str) -> None:
    with pytest.raises(PlanError, match=fault):
        moves(owners, weights)


def test_progress_estimates_from_the_last_moves() -> None:
    progress = Progress(1000, 0.0)
    assert progress.line() == "0 of 1000 buckets (0 %)"
    for number in range(1, 11):
        progress.moved(float(number))
    assert progress.line() == "10 of 1000 buckets (1 %), 1.0/s, 16 min left"
    for number in range(1, 301):
        progress.moved(10 + number / 10)
    assert progress.line() == "310 of 1000 buckets (31 %), 10.0/s, 69 s left"
    assert Progress(0, 0.0).line() == "0 of 0 buckets (100 %)"


def test_durations_are_printed_for_people() -> None:
    assert [duration(seconds) for seconds in (0.4, 89, 100, 5000, 7500)] == [
        "0 s",
        "89 s",
        "2 min",
        "83 min",
        "2 h 5 min",
    ]
