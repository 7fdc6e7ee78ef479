"""The results of runs as the page shows them."""

import pytest

from tests.faults.report import chaos_table, filled, table

RESULT = {
    "file": "test_shards",
    "name": "a_shard_dies[s1-killed]",
    "calls": 300,
    "failures": {"504": 2, "503": 7},
    "stall_s": 4.96,
    "recovery_s": 0.21,
    "violations": [],
}


def test_a_run_is_a_line_with_the_answers_to_clients() -> None:
    line = "| a shard dies: s1-killed | 300 | 7 x 503, 2 x 504 | 5.0 s | 0.2 s | no violation |"
    assert table([RESULT]).splitlines()[2:] == ["| **Shards** | | | | | |", line]


def test_the_last_run_of_a_test_counts() -> None:
    (*_, line) = table([{**RESULT, "calls": 1}, RESULT]).splitlines()
    assert "| 300 |" in line
    assert len(table([RESULT, RESULT]).splitlines()) == 4


def test_violations_are_shown() -> None:
    assert "**2 violations**" in table([{**RESULT, "violations": ["one", "two"]}])


def test_a_run_of_chaos_is_a_line_with_its_seed() -> None:
    run = {
        "minutes": 30.0,
        "seed": 7,
        "strikes": 130,
        "faults": 210,
        "kinds": 72,
        "calls": 90_000,
        "operations": 150_000,
        "failures": {},
        "stall_s": 5.2,
        "recovery_s": 2.0,
    }
    assert "| 30 | 7 | 130 | 210 | 72 | 90000 | 150000 | no failure | 5.2 s | 2.0 s | no violation |" in chaos_table(
        [run]
    )


def test_the_calls_of_a_run_of_chaos_are_counted_by_kind() -> None:
    run = {"minutes": 1, "seed": 7, "strikes": 1, "faults": 1, "kinds": 1, "calls": 9, "operations": 9, "failures": {}}
    text = chaos_table([{**run, "stall_s": 1.0, "recovery_s": 1.0, "by_kind": {"increment": 4, "write if ttl": 5}}])
    assert "calls of seed 7" in text
    assert "4 increment, 5 write if ttl." in text


def test_only_the_text_between_the_marks_is_replaced() -> None:
    page = "before <!-- x begin -->old<!-- x end --> after"
    assert filled(page, "x", "new") == "before <!-- x begin -->\n\nnew\n\n<!-- x end --> after"
    with pytest.raises(ValueError, match="no place"):
        filled(page, "y", "new")
