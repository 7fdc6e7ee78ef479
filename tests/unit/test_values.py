"""What can be kept unchanged, and what cannot."""

import math
from typing import Any

import pytest
from msgspec.msgpack import Ext

from api.batch.values import MAX_DEPTH, ValueNotKeptError, check_json, check_msgpack, deeper_than


def nested(depth: int, kind: type = list) -> Any:
    """A value with `depth` levels of arrays or objects."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"k": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
def test_a_value_as_deep_as_allowed_is_kept(kind: type) -> None:
    assert not deeper_than([nested(MAX_DEPTH, kind)], MAX_DEPTH)
    check_msgpack(nested(MAX_DEPTH, kind))


@pytest.mark.parametrize("kind", [list, dict])
def test_a_value_one_level_deeper_is_not(kind: type) -> None:
    assert deeper_than([nested(MAX_DEPTH + 1, kind)], MAX_DEPTH)
    with pytest.raises(ValueNotKeptError, match="nested deeper than 128 levels"):
        check_msgpack(nested(MAX_DEPTH + 1, kind))


def test_depth_counts_empty_arrays_too() -> None:
    value: Any = []
    for _ in range(MAX_DEPTH):
        value = [value]
    assert deeper_than([value], MAX_DEPTH)
    with pytest.raises(ValueNotKeptError):
        check_msgpack(value)


def test_a_deep_value_is_found_beside_flat_ones() -> None:
    assert check_json({"a": 1, "b": nested(MAX_DEPTH + 1), "c": []}, b"[" * 200) == "b"


def test_flat_values_with_many_brackets_are_kept() -> None:
    assert check_json({"a": [[]] * 500}, b"[" * 1000) is None


def test_brackets_in_texts_do_not_count() -> None:
    assert check_json({"a": "[" * 500, "b": ["["]}, b"[" * 501) is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [lambda n: n, lambda n: [[n]], lambda n: {"k": n}, lambda n: {n: 1}])
def test_a_number_that_is_not_finite_is_not_kept(number: float, place: Any) -> None:
    with pytest.raises(ValueNotKeptError, match="not finite"):
        check_msgpack(place(number))


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", b"", [], {}, {1: [2, {"a": None}]}])
def test_every_other_value_is_kept(value: Any) -> None:
    check_msgpack(value)


@pytest.mark.parametrize("code", [1, 8])
def test_an_extension_type_of_tarantools_own_is_not_kept(code: int) -> None:
    with pytest.raises(ValueNotKeptError, match="Tarantool"):
        check_msgpack([Ext(code, b"x")])


@pytest.mark.parametrize("code", [-1, 0, 9, 127])
def test_any_other_extension_type_is_kept(code: int) -> None:
    check_msgpack([Ext(code, b"x")])
