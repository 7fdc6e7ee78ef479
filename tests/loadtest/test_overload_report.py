"""The report of an overload run."""

from itertools import pairwise

from loadtest.overload.phases import Phase
from loadtest.overload.report import Result, promises, render
from loadtest.overload.tally import Tally, bucket


def phase(answered: int, refused: int = 0, broken: int = 0) -> Phase:
    """A run of ten seconds: successes take 20 ms, rejections 5 ms."""
    counts = {200: (answered, 0.02), 503: (refused, 0.005), 0: (broken, 0.001)}
    latencies = {status: {bucket(seconds): count} for status, (count, seconds) in counts.items() if count}
    tally = Tally(offered=answered + refused, latencies=latencies, cpu_s=1.0, seconds=10.0)
    return Phase(tally, {"redis": 0.5, "api": 9.0}, 16.0, {"redis": (1, 1, 1), "api": (2**20, 2**21, 2**20)})


def result(overload: Phase) -> Result:
    calm = phase(500)
    return Result(
        batch=100,
        operation="mixed",
        factor=3.0,
        capacity=phase(1000),
        usual=calm,
        overload=overload,
        after=calm,
        capacity_after=phase(1000),
    )


def test_every_row_has_a_cell_for_each_column() -> None:
    rows = [line.count("|") for line in render(result(phase(950, 2000))).splitlines()]
    tables = [(before, after) for before, after in pairwise(rows) if before and after]
    assert tables
    assert all(before == after for before, after in tables)


def test_the_cost_of_a_success_is_of_all_tiers_and_not_of_the_generators() -> None:
    line = next(line for line in render(result(phase(950, 2000))).splitlines() if line.startswith("| overload | 0.05"))
    assert line.endswith("| 0.10 | 1.60 | 10,000 |")


def test_successes_count_against_the_capacity_and_broken_requests_against_the_rejections() -> None:
    kept = {what: verdict for what, _, verdict in promises(result(phase(950, 2000)))}
    assert all(kept.values())
    kept = {what: verdict for what, _, verdict in promises(result(phase(850, 2000, broken=1)))}
    assert [what for what, verdict in kept.items() if not verdict] == [
        "answered, of the capacity before and after",
        "the rest: 503 with Retry-After",
    ]
