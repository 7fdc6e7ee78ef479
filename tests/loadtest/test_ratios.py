"""The arithmetic of the benchmark: rates, costs and ratios."""

import pytest

from loadtest.bench.load import Load
from loadtest.bench.plan import Combination
from loadtest.bench.ratios import Ratio, compare, paired
from loadtest.bench.report import markdown
from loadtest.bench.results import Measurement, Results, rows

WRITE_10 = Combination("string", 32, "write", 10)
READ_1 = Combination("string", 1, "read", 1)


def measurement(
    system: str,
    requests: int,
    *,
    number: int = 0,
    combination: Combination = WRITE_10,
    p50: float = 1000,
    p99: float = 2000,
    errors: int = 0,
    sent: int = 0,
) -> Measurement:
    """Two seconds in which the api used one second of CPU time and Tarantool half of one."""
    latency = {"50": p50, "90": p50, "99": p99, "99.9": p99}
    load = Load(requests, sent or requests, 2.0, 0.2, latency, p99, {"status": errors})
    return Measurement(system, combination, number, load, {"api": 1.0, "tarantool": 0.5, "generator": 0.2}, 0.1)


def ratios_of(*measurements: Measurement) -> dict[str, Ratio]:
    return {ratio.figure: ratio for ratio in compare(measurements, "tarant-kv", ["fastapi"])}


def test_rates_and_costs_follow_from_counts_and_times() -> None:
    (row,) = rows([measurement("tarant-kv", 1000)])
    assert (row.requests_per_s, row.keys_per_s) == (500.0, 5000.0)
    assert row.cpu_us_per_request == pytest.approx({"api": 1000.0, "tarantool": 500.0, "generator": 200.0})
    assert row.cpu_us_per_key == pytest.approx({"api": 100.0, "tarantool": 50.0, "generator": 20.0})
    assert row.latency_ms["99"] == 2.0


def test_requests_without_an_answer_yet_count_for_the_cost_but_not_for_the_rate() -> None:
    (row,) = rows([measurement("tarant-kv", 1000, sent=2000)])
    assert row.requests_per_s == 500.0
    assert row.cpu_us_per_request["api"] == pytest.approx(500.0)


def test_the_generator_is_no_part_of_a_systems_cost() -> None:
    (row,) = rows([measurement("tarant-kv", 1000)])
    assert row.system_cpu_us_per_request == pytest.approx(1500.0)


def test_a_cluster_has_three_tenths_of_the_writes_of_single_instances() -> None:
    def passed(requests: int) -> bool | None:
        measured = [measurement("tarant-kv", 1000), measurement("cluster", requests)]
        (ratio,) = (each for each in compare(measured, "tarant-kv", ["cluster"]) if each.figure == "keys/s")
        return ratio.passed

    assert passed(400) is True
    assert passed(200) is False


def test_a_row_is_the_median_of_its_rounds_and_the_sum_of_their_errors() -> None:
    rounds = [measurement("x", count, number=number, errors=1) for number, count in enumerate((100, 900, 200))]
    (row,) = rows(rounds)
    assert (row.rounds, row.requests_per_s, row.errors) == (3, 100.0, 3)


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    # A slow second half of the run affects both systems; the ratio of the two medians would be 2.0.
    ours = [measurement("tarant-kv", count, number=number) for number, count in enumerate((1000, 400, 390))]
    theirs = [measurement("fastapi", count, number=number) for number, count in enumerate((500, 100, 130))]
    assert paired(ours, theirs, lambda m: m.keys_per_s) == 3.0


def test_rounds_without_a_counterpart_are_left_out() -> None:
    ours = [measurement("tarant-kv", 300, number=0), measurement("tarant-kv", 900, number=1)]
    assert paired(ours, [measurement("fastapi", 100, number=0)], lambda m: m.keys_per_s) == 3.0


@pytest.mark.parametrize(("requests", "passed"), [(129, False), (130, True), (131, True)])
def test_throughput_must_reach_its_target(requests: int, passed: bool) -> None:  # noqa: FBT001
    ratio = ratios_of(measurement("tarant-kv", requests), measurement("fastapi", 100))["keys/s"]
    assert ratio.target == 1.3
    assert ratio.passed is passed


def test_latency_of_one_request_alone_must_stay_under_its_target() -> None:
    ratios = ratios_of(
        measurement("tarant-kv", 100, combination=READ_1, p50=1900, p99=8100),
        measurement("fastapi", 100, combination=READ_1, p50=1000, p99=2000),
    )
    assert (ratios["p50"].passed, ratios["p99"].passed) == (True, False)


def test_there_are_no_targets_for_other_numbers_of_connections() -> None:
    ratios = ratios_of(
        measurement("tarant-kv", 100, combination=READ_1), measurement("fastapi", 100, combination=READ_1)
    )
    assert ratios["keys/s"].target is None
    assert ratios["keys/s"].passed is None


def test_cpu_time_is_compared_for_each_request() -> None:
    ratios = ratios_of(measurement("tarant-kv", 200), measurement("fastapi", 100))
    assert ratios["CPU"].value == pytest.approx(0.5)


def test_the_report_begins_with_cpu_time_and_says_what_passed_and_what_failed() -> None:
    results = Results({"cpu": "x"}, ["tarant-kv", "fastapi"])
    results.measurements = [measurement("tarant-kv", 131), measurement("fastapi", 100)]
    text = markdown(results)
    assert text.index("CPU time per request") < text.index("Throughput")
    assert "| fastapi | keys/s | pass | 1.31 | at least 1.3 |" in text
    results.measurements = [measurement("tarant-kv", 129), measurement("fastapi", 100)]
    assert "| fastapi | keys/s | FAIL | 1.29 | at least 1.3 |" in markdown(results)
