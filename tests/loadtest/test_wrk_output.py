"""How the benchmark parses the output of wrk."""

import pytest

from loadtest.bench.load import LoadError, percentiles
from loadtest.bench.wrk import parse

OUTPUT = """Running 2s test @ http://127.0.0.1:1
bench ready
  2 requests in 2.00s
bench {"requests": 300, "sent": 310, "bytes": 9000, "seconds": 2.001000, "generator_cpu_s": 0.125000, "max_us": 9100, \
"latency_us": {"50": 410, "90": 700, "99": 2000, "99.9": 9000}, \
"errors": {"connect": 0, "read": 1, "write": 0, "status": 2, "timeout": 0}}
"""


def test_the_script_s_line_is_found_in_the_output_of_wrk() -> None:
    load = parse(OUTPUT)
    assert (load.requests, load.sent, load.bytes) == (300, 310, 9000)
    assert (load.seconds, load.generator_cpu_s) == (2.001, 0.125)
    assert load.latency_us == {"50": 410, "90": 700, "99": 2000, "99.9": 9000}
    assert load.max_us == 9100


def test_errors_of_all_kinds_are_failures() -> None:
    assert parse(OUTPUT).failures == 3


def test_a_run_without_a_report_is_an_error_with_the_output() -> None:
    with pytest.raises(LoadError, match="unable to connect"):
        parse("bench ready\nunable to connect to 127.0.0.1:1")


def test_percentiles_are_by_nearest_rank() -> None:
    found = percentiles([float(number) for number in range(1000, 0, -1)])
    assert found == {"50": 500.0, "90": 900.0, "99": 990.0, "99.9": 999.0}


def test_the_percentiles_of_one_value_are_that_value() -> None:
    assert percentiles([7.0]) == {"50": 7.0, "90": 7.0, "99": 7.0, "99.9": 7.0}
