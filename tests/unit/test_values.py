"""Which values can be stored unchanged."""

import math
import struct
import time
from typing import Any

import msgpack
import msgspec
import pytest

from api.batch.msgpack_values import in_doubt
from api.batch.msgpack_walk import walk
from api.batch.steps import at_once
from api.batch.values import MAX_DEPTH, ValueNotKeptError, survey, too_deep
from tests.contract.samples import MSGPACK_VALUES

pack = msgspec.msgpack.encode


def nested(depth: int, kind: type = list) -> Any:
    """A value with `depth` levels of arrays or objects."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"k": value}
    return value


def check(encoded: bytes) -> None:
    """Check a value as the body of a write is checked."""
    if in_doubt((msgspec.Raw(encoded),)):
        assert at_once(walk(encoded)) == len(encoded)


@pytest.mark.parametrize("kind", [list, dict])
def test_a_value_as_deep_as_allowed_is_accepted(kind: type) -> None:
    assert not too_deep(nested(MAX_DEPTH, kind))
    check(pack(nested(MAX_DEPTH, kind)))


@pytest.mark.parametrize("kind", [list, dict])
def test_a_value_that_is_one_level_too_deep_is_refused(kind: type) -> None:
    assert too_deep(nested(MAX_DEPTH + 1, kind))
    with pytest.raises(ValueNotKeptError, match="nested deeper than 128 levels"):
        check(pack(nested(MAX_DEPTH + 1, kind)))


def test_depth_counts_empty_arrays_too() -> None:
    value: Any = []
    for _ in range(MAX_DEPTH):
        value = [value]
    assert too_deep(value)
    with pytest.raises(ValueNotKeptError):
        check(pack(value))


def test_a_deep_value_is_found_among_flat_ones() -> None:
    assert survey([1, nested(MAX_DEPTH + 1), []]) == (True, False)


@pytest.mark.parametrize("value", [1.0, [1.0], {"a": [1, {"b": 0.5}]}])
def test_a_float_is_found_on_any_level(value: Any) -> None:
    assert survey([1, value, []]) == (False, True)


def test_values_without_floats_have_none() -> None:
    assert survey([1, "1.0", True, None, [[2]], {"a": {}}]) == (False, False)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("form", [">Bd", ">Bf"])
@pytest.mark.parametrize("place", [b"%b", b"\x91\x91%b", b"\x81\xa1k%b", b"\x81%b\x01", b"\x82\xa1k%b\xa1k\x01"])
def test_a_number_that_is_not_finite_is_refused(number: float, form: str, place: bytes) -> None:
    with pytest.raises(ValueNotKeptError, match="not finite"):
        check(place % struct.pack(form, 0xCB if form == ">Bd" else 0xCA, number))


@pytest.mark.parametrize("name", MSGPACK_VALUES)
def test_every_other_value_is_accepted(name: str) -> None:
    value = MSGPACK_VALUES[name]
    check(value)
    assert at_once(walk(value)) == len(value)


@pytest.mark.parametrize("code", [1, 8])
@pytest.mark.parametrize("place", [b"%b", b"\x91%b", b"\x82\xa1k%b\xa1k\x01"])
def test_an_extension_type_of_tarantools_own_is_refused(code: int, place: bytes) -> None:
    with pytest.raises(ValueNotKeptError, match="Tarantool"):
        check(place % msgpack.packb(msgpack.ExtType(code, b"x")))


@pytest.mark.parametrize("code", [0, 9, 127])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 8, 16, 17, 300, 70_000])
def test_any_other_extension_type_is_accepted(code: int, size: int) -> None:
    check(msgpack.packb([msgpack.ExtType(code, b"x" * size)]))


@pytest.mark.parametrize("key", [b"\x80", b"\x91\x80", b"\xd4\x09x", b"\x91\xd4\x09x", b"\x92\x91\x01\x80"])
def test_a_map_key_with_a_map_or_an_extension_is_refused(key: bytes) -> None:
    with pytest.raises(ValueNotKeptError, match="map keys"):
        check(b"\x81" + key + b"\x01")


def test_the_value_of_a_map_key_may_contain_both() -> None:
    check(b"\x82\x91\x01\x80\x02\xd4\x09x")


@pytest.mark.parametrize("name", MSGPACK_VALUES)
def test_a_truncated_value_is_recognized(name: str) -> None:
    value = MSGPACK_VALUES[name]
    for size in range(len(value)):
        with pytest.raises(IndexError):
            at_once(walk(value[:size]))


ALIKE = [struct.pack(">Bd", 0xCB, 2.0 ** (61 * power)) for power in range(-16, 17)]
"""Numbers with the same hash in Python, which hashes modulo 2^61 - 1."""


def colliding_keys(count: int) -> bytes:
    """A map whose keys are different arrays of such numbers."""
    members = [
        b"\x94" + b"".join(ALIKE[number // 33**place % 33] for place in range(4)) + b"\x01" for number in range(count)
    ]
    return b"\xdf" + count.to_bytes(4, "big") + b"".join(members)


def test_keys_with_equal_hashes_take_no_longer_than_others() -> None:
    assert len({hash(tuple(msgpack.unpackb(b"\x94" + number * 4))) for number in ALIKE}) == 1
    value = colliding_keys(10_000)
    began = time.thread_time()
    check(value)
    # A dict of them takes 5 s.
    assert time.thread_time() - began < 1
