"""The rules for options: a request that breaks one is refused, and the problem points at the place in the body."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from api.batch.bodies import DeleteBody, ReadBody, TouchBody
from api.batch.counters import add_increments
from api.batch.decode import KeysBody, decode_keys
from api.batch.members import Members
from api.batch.options import delete_conditions, read_options, touch_expiries
from api.batch.split import Groups
from api.batch.steps import at_once
from api.batch.write_body import add_large_write, add_write
from api.http.negotiation import Format
from api.http.problems import Kind, Problem
from tests.write_bodies import LIMITS, ONE_SHARD

Refused = dict[str, tuple[dict[str, Any], str]]

EXPIRIES: Refused = {
    "both": ({"ttl": 1, "expires_at": 1}, "/expires_at"),
    "both, the one null": ({"ttl": None, "expires_at": 1}, "/expires_at"),
    "a ttl of 0": ({"ttl": 0}, "/ttl"),
    "a ttl of -0.0": ({"ttl": -0.0}, "/ttl"),
    "a negative ttl": ({"ttl": -1}, "/ttl"),
    "a ttl of over ten years": ({"ttl": 315_360_001}, "/ttl"),
    "a ttl of a millisecond over ten years": ({"ttl": 315_360_000.001}, "/ttl"),
    "a ttl past every integer": ({"ttl": 2**63}, "/ttl"),
    "a ttl that is true": ({"ttl": True}, "/ttl"),
    "a ttl that is a text": ({"ttl": "60"}, "/ttl"),
    "a ttl that is an array": ({"ttl": [60]}, "/ttl"),
    "a ttl that is an object": ({"ttl": {"s": 60}}, "/ttl"),
    "an expires_at that is null": ({"expires_at": None}, "/expires_at"),
    "an expires_at that is false": ({"expires_at": False}, "/expires_at"),
    "an expires_at that is a text": ({"expires_at": "2030-01-01"}, "/expires_at"),
    "an expires_at after the year 9999": ({"expires_at": 253_402_300_800}, "/expires_at"),
    "an expires_at just after the year 9999": ({"expires_at": 253_402_300_799.5}, "/expires_at"),
}
CONDITIONS: Refused = {
    "an unknown word": ({"if": "missing"}, "/if"),
    "keep": ({"if": "keep"}, "/if"),
    "true": ({"if": True}, "/if"),
    "a number": ({"if": 7}, "/if"),
    "an array": ({"if": ["absent"]}, "/if"),
    "an object without a version": ({"if": {}}, "/if"),
    "an object with more": ({"if": {"version": "1", "value": 1}}, "/if"),
    "a version that is a number": ({"if": {"version": 7}}, "/if/version"),
    "a version that is null": ({"if": {"version": None}}, "/if/version"),
    "an empty version": ({"if": {"version": ""}}, "/if/version"),
    "a version of 33 characters": ({"if": {"version": "a" * 33}}, "/if/version"),
    "a version with a space": ({"if": {"version": "a b"}}, "/if/version"),
    "a version with a line end": ({"if": {"version": "a\n"}}, "/if/version"),
    "a version that is not ASCII": ({"if": {"version": "\u00e9"}}, "/if/version"),
}
WORDS: Refused = {
    "an unknown word": ({"return": ["version", "value"]}, "/return/1"),
    "a text": ({"return": "version"}, "/return"),
    "an object": ({"return": {"version": True}}, "/return"),
    "null": ({"return": None}, "/return"),
    "a number in it": ({"return": [1]}, "/return"),
    "far too many": ({"return": ["version"] * 1000}, "/return"),
}
OPTIONS: Refused = {
    "null": ({"options": None}, "/options"),
    "an array": ({"options": [{}]}, "/options"),
    "a key that is not in the batch": ({"options": {"k": {}, "l~/": {}}}, "/options/l~0~1"),
    "null for a key": ({"options": {"k": None}}, "/options/k"),
    "a number for a key": ({"options": {"k": 60}}, "/options/k"),
    "an unknown member": ({"options": {"k": {"expires": 1}}}, "/options/k"),
    "a member of the batch alone": ({"options": {"k": {"return": ["version"]}}}, "/options/k"),
}
COUNTERS: Refused = {
    "a min that is a fraction": ({"min": 1.0}, "/min"),
    "a max that is true": ({"max": True}, "/max"),
    "an initial that is null": ({"initial": None}, "/initial"),
    "an initial of 2^63": ({"initial": 2**63}, "/initial"),
    "a min below -2^63": ({"min": -(2**63) - 1}, "/min"),
    "a max that is a text": ({"max": "9"}, "/max"),
    "a min above the max": ({"min": 2, "max": 1}, "/min"),
    "an unknown ttl_on": ({"ttl_on": "read"}, "/ttl_on"),
    "a ttl_on that is true": ({"ttl_on": True}, "/ttl_on"),
    "a ttl_on that is null": ({"ttl_on": None}, "/ttl_on"),
}


def encoded(document: Any) -> list[tuple[bytes, Format]]:
    """A document in both formats, if MessagePack can express it."""
    bodies = [(msgspec.json.encode(document), Format.JSON)]
    try:
        return [*bodies, (msgspec.msgpack.encode(document), Format.MSGPACK)]
    except OverflowError:
        return bodies


def assert_refused(read: Callable[[bytes, Format], object], document: Any, pointer: str) -> None:
    for body, body_format in encoded(document):
        with pytest.raises(Problem) as caught:
            read(body, body_format)
        assert caught.value.kind is Kind.INVALID_REQUEST, caught.value.detail
        assert [error["pointer"] for error in caught.value.members["errors"]] == [pointer], caught.value.detail


def write(body: bytes, body_format: Format) -> None:
    add_write(Groups(ONE_SHARD), body, body_format, LIMITS)


def write_in_steps(body: bytes, body_format: Format) -> None:
    at_once(add_large_write(Groups(ONE_SHARD), body, body_format, LIMITS))


def increment(body: bytes, body_format: Format) -> None:
    at_once(add_increments(Groups(ONE_SHARD), body, body_format, LIMITS))


def of_keys(kind: KeysBody, read: Callable[[Members, list[str]], object]) -> Callable[[bytes, Format], None]:
    def decode(body: bytes, body_format: Format) -> None:
        keys, more = decode_keys(body, body_format, LIMITS, kind)
        read(Members(more, body_format, LIMITS, frozenset(keys), "keys"), keys)

    return decode


delete = of_keys(DeleteBody, lambda more, _: at_once(delete_conditions(more)))
touch = of_keys(TouchBody, lambda more, keys: at_once(touch_expiries(more, keys)))
read = of_keys(ReadBody, lambda more, _: read_options(more))


@pytest.mark.parametrize(("more", "place"), EXPIRIES.values(), ids=EXPIRIES)
def test_an_invalid_expiry_is_refused(more: dict[str, Any], place: str) -> None:
    data = {"k": 1}
    for call in (write, write_in_steps, increment):
        assert_refused(call, {"data": data, **more}, f"#{place}")
        assert_refused(call, {"data": data, "options": {"k": more}}, f"#/options/k{place}")
    assert_refused(touch, {"keys": ["k"], **more}, f"#{place}")
    assert_refused(touch, {"keys": ["k"], "ttl": 1, "options": {"k": more}}, f"#/options/k{place}")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["ttl", "expires_at"])
def test_a_number_that_is_not_finite_is_refused(name: str, number: float) -> None:
    for document, pointer in (
        ({"data": {"k": 1}, name: number}, f"#/{name}"),
        ({"data": {"k": 1}, "options": {"k": {name: number}}}, f"#/options/k/{name}"),
    ):
        with pytest.raises(Problem) as caught:
            write(msgspec.msgpack.encode(document), Format.MSGPACK)
        assert caught.value.members["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("name", ["ttl", "expires_at"])
@pytest.mark.parametrize("text", [b"1e999", b"9" * 400, b'"\\ud800"', b'"\xff"', b"[" * 200])
def test_a_member_that_does_not_decode_is_refused(name: str, text: bytes) -> None:
    closing = b"]" * text.count(b"[")
    for body in (
        b'{"data": {"k": 1}, "%b": %b}' % (name.encode(), text + closing),
        b'{"data": {"k": 1}, "options": {"k": {"%b": %b}}}' % (name.encode(), text + closing),
    ):
        for call in (write, write_in_steps):
            with pytest.raises(Problem) as caught:
                call(body, Format.JSON)
            assert caught.value.status == 400


@pytest.mark.parametrize(("more", "place"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_condition_that_cannot_be_one_is_refused(more: dict[str, Any], place: str) -> None:
    assert_refused(write, {"data": {"k": 1}, **more}, f"#{place}")
    assert_refused(write, {"data": {"k": 1}, "options": {"k": more}}, f"#/options/k{place}")
    assert_refused(delete, {"keys": ["k"], **more}, f"#{place}")
    assert_refused(delete, {"keys": ["k"], "options": {"k": more}}, f"#/options/k{place}")


@pytest.mark.parametrize(("more", "place"), WORDS.values(), ids=WORDS)
def test_unknown_words_are_refused(more: dict[str, Any], place: str) -> None:
    assert_refused(write, {"data": {"k": 1}, **more}, f"#{place}")
    assert_refused(read, {"keys": ["k"], "with": more["return"]}, f"#{place.replace('return', 'with')}")


@pytest.mark.parametrize(("more", "place"), OPTIONS.values(), ids=OPTIONS)
def test_options_of_another_form_are_refused(more: dict[str, Any], place: str) -> None:
    for call in (write, write_in_steps, increment):
        assert_refused(call, {"data": {"k": 1}, **more}, f"#{place}")
    for naming in (delete, touch):
        assert_refused(naming, {"keys": ["k"], **more}, f"#{place}")


@pytest.mark.parametrize("partial", [None, 1, "true", [True]])
def test_partial_is_true_or_false(partial: Any) -> None:
    assert_refused(read, {"keys": ["k"], "partial": partial}, "#/partial")


@pytest.mark.parametrize(("more", "place"), COUNTERS.values(), ids=COUNTERS)
def test_an_invalid_option_of_a_counter_is_refused(more: dict[str, Any], place: str) -> None:
    assert_refused(increment, {"data": {"k": 1}, **more}, f"#{place}")
    assert_refused(increment, {"data": {"k": 1}, "options": {"k": more}}, f"#/options/k{place}")


@pytest.mark.parametrize("delta", [1.0, True, None, "1", [1], {"by": 1}, 2**63, -(2**63) - 1, 10**400])
def test_an_increment_is_a_64_bit_integer(delta: Any) -> None:
    assert_refused(increment, {"data": {"good": 1, "b/d": delta}}, "#/data/b~1d")


def test_bounds_of_batch_and_key_that_contradict_each_other_are_refused() -> None:
    assert_refused(increment, {"data": {"k": 1}, "max": 1, "options": {"k": {"min": 2}}}, "#/options/k/min")
    assert_refused(increment, {"data": {"k": 1}, "min": 2, "options": {"k": {"max": 1}}}, "#/options/k/max")


def test_a_touch_without_an_expiry_for_each_key_is_refused() -> None:
    assert_refused(touch, {"keys": ["k"], "ttl": "keep"}, "#/ttl")
    assert_refused(touch, {"keys": ["k"]}, "#/ttl")
    assert_refused(touch, {"keys": ["k", "l"], "options": {"k": {"ttl": 1}}}, "#/ttl")
    assert_refused(touch, {"keys": ["k"], "options": {"k": {}}}, "#/options/k")
    assert_refused(increment, {"data": {"k": 1}, "ttl": "keep"}, "#/ttl")


def test_a_very_long_key_is_not_in_the_pointer() -> None:
    assert_refused(write, {"data": {"k": 1}, "options": {"k" * 5000: {}}}, "#/options")
