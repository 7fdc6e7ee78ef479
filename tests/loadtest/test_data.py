"""The keys, values and batches of the benchmark."""

import json
from pathlib import Path

import pytest

from loadtest.bench import plan as plans
from loadtest.bench.bodies import BodyFiles, batches, body
from loadtest.bench.floor import ReadyChunk, full_calls
from loadtest.bench.plan import Combination
from loadtest.bench.values import STRING_BYTES, Data, record_of, records

DATA = Data("string", 1000)


def test_a_string_value_has_the_given_size_and_depends_only_on_its_key() -> None:
    values = [DATA.value(number) for number in range(100)]
    assert {len(value) for value in values} == {STRING_BYTES}
    assert len(set(values)) == 100
    assert values == [Data("string", 5).value(number) for number in range(100)]


def test_every_key_is_in_one_batch() -> None:
    assert sorted(number for batch in batches(DATA, 10) for number in batch) == list(range(1000))


def test_batches_are_in_a_mixed_order_that_is_the_same_each_time() -> None:
    assert next(batches(DATA, 10)) == next(batches(DATA, 10))
    assert next(batches(DATA, 10)) != list(range(10))


def test_a_batch_larger_than_the_key_space_repeats_keys() -> None:
    (batch,) = batches(Data("string", 600), 1000)
    assert len(batch) == 1000


def test_a_written_body_contains_the_answer_to_a_read_of_the_same_keys() -> None:
    written = json.loads(body(DATA, "write", [1, 2]))["data"]
    assert json.loads(body(DATA, "read", [1, 2]))["keys"] == list(written)
    assert written == {DATA.key(number): DATA.value(number) for number in (1, 2)}


@pytest.mark.parametrize("operation", ["write", "read"])
def test_a_file_has_one_request_a_line(tmp_path: Path, operation: plans.Operation) -> None:
    path = BodyFiles(tmp_path).path(DATA, Combination("string", 32, operation, 100))
    lines = path.read_text().splitlines()
    assert len(lines) == 10
    assert all(len(json.loads(line)["data" if operation == "write" else "keys"]) == 100 for line in lines)


def test_a_paragraph_of_a_package_index_becomes_a_record() -> None:
    lines = ["Package: x", "Size: 12", "Depends: a (>= 1), b | c", "Tag: role::program,", " use::gameplaying"]
    assert record_of(lines) == {
        "Package": "x",
        "Size": 12,
        "Depends": ["a (>= 1)", "b | c"],
        "Tag": ["role::program", "use::gameplaying"],
    }


def test_without_a_package_index_records_are_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    made = records()
    assert len({record["Package"] for record in made}) == len(made)


def test_calls_are_bounded_in_chunks_and_in_keys() -> None:
    def sizes(keys: int, count: int, together: int) -> list[int]:
        return [len(call) for call in full_calls([ReadyChunk(["k"] * keys, b"")] * count, together)]

    assert sizes(1, 25, 10) == [10, 10, 5]
    assert sizes(1000, 10, 32) == [4, 4, 2]
    assert sizes(5000, 2, 32) == [1, 1]


def test_extras_are_measured_once() -> None:
    plan = plans.full()
    assert len(list(plan.of_round(0))) == len(plan.combinations) + len(plan.extras)
    assert list(plan.of_round(1)) == list(plan.combinations)


def test_large_batches_are_measured_longer() -> None:
    plan = plans.full()
    small = plan.seconds_of(Combination("string", 32, "read", 100))
    large = plan.seconds_of(Combination("string", 32, "read", 1000))
    heavy = plan.seconds_of(Combination("record", 32, "read", 1000))
    assert plan.seconds == small < large < heavy


def test_dimensions_that_the_caller_names_replace_the_usual_ones() -> None:
    plan = plans.chosen(plans.quick(), operations=["read"], batches=[7], values=["record"])
    assert plan.combinations == (Combination("record", 32, "read", 7),)
    assert plan.record_keys > 0
    shared = plans.chosen(plans.quick(), operations=["read"], batches=[7], share=0.5)
    assert [combination.share for combination in shared.combinations] == [0.0, 0.5]
    assert plans.chosen(plans.full()) == plans.full()
