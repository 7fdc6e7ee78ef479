"""Rows are encoded and decoded, and versions are shown as texts."""

from typing import Any

import msgspec
import pytest

from protocol.changes import NO_VERSION
from protocol.chunks import MAX_CHUNK_BYTES, MAX_CHUNK_KEYS, answer_of, slice_values
from protocol.operations import Operation
from protocol.rows import KEEP, bodies, rest_of_rows
from protocol.versions import version_number, version_text

pack = msgspec.msgpack.encode
ODD = msgspec.Raw(b"\xcd\x00\x01")

BODIES: dict[str, tuple[Operation, list[tuple[Any, ...]], Any]] = {
    "a write": (Operation.WRITE, [("k", 1, ODD), ("l", 2, "v", KEEP)], [["k", 1, ODD], ["l", 2, "v", 0]]),
    "an update": (
        Operation.UPDATE,
        [("k", 1, ODD, 60000, None), ("l", 2, None, False), ("m", 3, 1, -5, 7)],
        [[["k", 1, ODD, 60000], ["l", 2, None], ["m", 3, 1, -5]], [None, False, 7]],
    ),
    "a delete": (Operation.DELETE_IF, [("k", 1, True), ("l", 2, None)], [["k", "l"], [1, 2], [True, None]]),
    "a touch": (Operation.TOUCH, [("k", 1, None), ("l", 2, 9)], [["k", "l"], [1, 2], [None, 9]]),
    "an increment": (
        Operation.INCREMENT,
        [("k", 1, -3, 10, 0, 99, 5, True), ("l", 2, 1, 0, None, None, None, False)],
        [["k", 1, -3, 10, 0, 99, 5, True], ["l", 2, 1, 0, None, None, None, False]],
    ),
    "a read of tuples": (Operation.READ_TUPLES, [("k", 1), ("l", 2)], [["k", "l"], [1, 2]]),
}
every_body = pytest.mark.parametrize(("operation", "rows", "body"), BODIES.values(), ids=BODIES)


@every_body
def test_a_body_has_its_rows_in_the_form_that_the_shard_reads(
    operation: Operation, rows: list[tuple[Any, ...]], body: Any
) -> None:
    assert list(bodies(operation, rows)) == [(0, len(rows), pack(body))]


@every_body
def test_the_arguments_of_a_row_are_decoded_as_the_same_bytes(
    operation: Operation, rows: list[tuple[Any, ...]], body: Any
) -> None:
    again = [(*row[:2], *rest) for row, rest in zip(rows, rest_of_rows(operation, pack(body)), strict=True)]
    assert list(bodies(operation, again)) == [(0, len(rows), pack(body))]


@pytest.mark.parametrize("operation", [Operation.UPDATE, Operation.DELETE_IF, Operation.TOUCH, Operation.INCREMENT])
def test_the_arguments_of_a_key_stay_with_it_when_a_batch_is_cut(operation: Operation) -> None:
    behind = {Operation.UPDATE: ("v", 5), Operation.INCREMENT: (1, 0, None, None, None, False)}.get(operation, ())
    rows = [(f"k{number}", 1, *behind, number) for number in range(2 * MAX_CHUNK_KEYS + 1)]
    cuts = list(bodies(operation, rows))
    assert [end - start for start, end, _ in cuts] == [667, 667, 667]
    for start, end, body in cuts:
        rest = rest_of_rows(operation, body)
        assert [msgspec.msgpack.decode(row[-1]) for row in rest] == list(range(start, end))


def test_a_large_update_is_cut_by_its_bytes() -> None:
    rows = [(f"k{number}", 1, "x" * 1000, True) for number in range(600)]
    cuts = list(bodies(Operation.UPDATE, rows))
    assert len(cuts) > 1
    assert all(len(body) <= MAX_CHUNK_BYTES for _, _, body in cuts)


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (0x6A1, "6a1"), (2**64 - 2, "fffffffffffffffe")])
def test_a_version_is_its_hexadecimal_digits(number: int, text: str) -> None:
    assert version_text(number) == text
    assert version_number(text) == number


@pytest.mark.parametrize("text", ["", "00", "06a1", "6A1", "x", "-1", "1" * 17, "+1", "1_0", "\u0661", "1\n"])
def test_an_invalid_version_equals_that_of_no_key(text: str) -> None:
    assert version_number(text) == NO_VERSION


def test_values_make_the_answer_of_a_read() -> None:
    assert slice_values(answer_of([ODD, None, msgspec.Raw(b"\xc0")])) == [bytes(ODD), None, b"\xc0"]
