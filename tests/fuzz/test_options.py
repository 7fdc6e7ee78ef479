"""The options of requests, compared with a second implementation of the contract's rules."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from api.batch.bodies import DeleteBody, ReadBody, TouchBody
from api.batch.counters import add_increments
from api.batch.decode import decode_keys
from api.batch.members import Members
from api.batch.options import delete_conditions, read_options, touch_expiries
from api.batch.split import Groups
from api.batch.steps import at_once
from api.batch.write_body import add_large_write, add_write
from api.http.negotiation import Format
from api.http.problems import Problem
from tests.fuzz import option_rules as rules
from tests.fuzz.chance import Chance, integer, made
from tests.fuzz.corpus_numbers import KEPT_NUMBERS, REFUSED_NUMBERS
from tests.fuzz.damage import damages
from tests.fuzz.effort import fuzz
from tests.write_bodies import LIMITS, ONE_SHARD, Way, in_steps


def refused(problem: Problem) -> None:
    """A `with` block whose refusals must be problems that can be rendered."""
    assert problem.status == 400
    assert json.loads(problem.body("id"))["status"] == 400


def written(body: bytes, body_format: Format, way: Way) -> Any:
    """Whether a body is an update, and the expiry and condition of each key; None if it is refused with a 400."""
    groups = Groups(ONE_SHARD)
    try:
        if way is Way.AT_ONCE:
            add_write(groups, body, body_format, LIMITS)
        else:
            with in_steps():
                at_once(add_large_write(groups, body, body_format, LIMITS))
    except Problem as problem:
        return refused(problem)
    (part,) = groups.parts()
    decoded = msgspec.msgpack.decode(part.body, type=list[msgspec.Raw])
    try:
        entries, conditions = msgspec.msgpack.decode(part.body, type=tuple[list[list[msgspec.Raw]], list[Any]])
        is_update = True
    except msgspec.ValidationError:
        entries, is_update = [msgspec.msgpack.decode(raw, type=list[msgspec.Raw]) for raw in decoded], False
        conditions = [None] * len(entries)
    ends = [msgspec.msgpack.decode(entry[3]) if len(entry) > 3 else None for entry in entries]
    return is_update, dict(zip(part.keys, zip(ends, conditions, strict=True), strict=True))


def incremented(body: bytes, body_format: Format) -> Any:
    groups = Groups(ONE_SHARD)
    try:
        at_once(add_increments(groups, body, body_format, LIMITS))
    except Problem as problem:
        return refused(problem)
    (part,) = groups.parts()
    return {key: rest for key, _, *rest in msgspec.msgpack.decode(part.body)}


def encoded(document: Any) -> list[tuple[bytes, Format]]:
    bodies = [(json.dumps(document).encode(), Format.JSON)]
    try:
        return [*bodies, (msgspec.msgpack.encode(document), Format.MSGPACK)]
    except OverflowError:
        return bodies


OF_WRITES = ("ttl", "expires_at", "if")
OF_COUNTERS = ("ttl", "expires_at", "ttl_on", "min", "max", "initial")

writes = made(lambda chance: rules.made_document(chance, OF_WRITES, lambda _: 1))
increments = made(lambda chance: rules.made_document(chance, OF_COUNTERS, _delta))


def _delta(chance: Chance) -> Any:
    return (
        chance.randint(-9, 9) if chance.random() < 0.9 else chance.choice((integer(chance), 1.0, True, None, "1", []))
    )


@fuzz(writes, examples=600)
def test_a_write_with_options_means_what_the_rules_say_or_is_refused(document: Any) -> None:
    try:
        expected = rules.write(document)
    except rules.BrokenRuleError:
        expected = None
    for body, body_format in encoded(document):
        for way in Way:
            assert written(body, body_format, way) == expected


@fuzz(increments, examples=600)
def test_an_increment_means_what_the_rules_say_or_is_refused(document: Any) -> None:
    try:
        expected = rules.increment(document)
    except rules.BrokenRuleError:
        expected = None
    for body, body_format in encoded(document):
        assert incremented(body, body_format) == expected


@fuzz(damages((writes | increments).map(lambda document: encoded(document)[0][0])), examples=300)
def test_a_damaged_json_body_with_options_is_accepted_or_refused(body: bytes) -> None:
    assert written(body, Format.JSON, Way.AT_ONCE) == written(body, Format.JSON, Way.IN_STEPS)
    incremented(body, Format.JSON)


@fuzz(damages((writes | increments).map(lambda document: encoded(document)[-1][0])), examples=300)
def test_a_damaged_messagepack_body_with_options_is_accepted_or_refused(body: bytes) -> None:
    assert written(body, Format.MSGPACK, Way.AT_ONCE) == written(body, Format.MSGPACK, Way.IN_STEPS)
    incremented(body, Format.MSGPACK)


def call_with_keys(chance: Chance) -> bytes:
    document = rules.made_document(chance, OF_WRITES, lambda _: 1)
    document["keys"] = list(document.pop("data"))
    if chance.random() < 0.5:
        document["with"] = document.pop("return", ["version"])
        document["partial"] = chance.choice((True, False, 1, None))
    return encoded(document)[-1 if chance.random() < 0.5 else 0][0]


@fuzz(made(call_with_keys) | damages(made(call_with_keys)), st.sampled_from(Format), examples=400)
def test_calls_with_keys_and_options_are_accepted_or_refused(body: bytes, body_format: Format) -> None:
    for kind in (ReadBody, DeleteBody, TouchBody):
        try:
            keys, more = decode_keys(body, body_format, LIMITS, kind)
            members = Members(more, body_format, LIMITS, frozenset(keys), "keys")
            if kind is ReadBody:
                read_options(members)
            elif kind is DeleteBody:
                at_once(delete_conditions(members))
            else:
                at_once(touch_expiries(members, keys))
        except Problem as problem:
            refused(problem)


@pytest.mark.parametrize("name", KEPT_NUMBERS)
def test_every_form_of_a_number_is_a_ttl_if_it_is_one_and_added_if_it_is_an_integer(name: str) -> None:
    digits, number = KEPT_NUMBERS[name]
    fits = 0 < number <= 315_360_000 and len(digits) <= 4000
    for way in Way:
        found = written(b'{"data": {"k": 1}, "ttl": %b}' % digits, Format.JSON, way)
        assert found == ((False, {"k": (max(1, round(number * 1000)), None)}) if fits else None)
    is_counter = type(number) is int and number < 2**63
    added = incremented(b'{"data": {"k": %b}}' % digits, Format.JSON)
    assert added == ({"k": [number, 0, None, None, None, False]} if is_counter else None)


@pytest.mark.parametrize("name", REFUSED_NUMBERS)
def test_a_text_that_is_no_number_is_refused_as_a_ttl_and_as_an_increment(name: str) -> None:
    digits = REFUSED_NUMBERS[name]
    for way in Way:
        assert written(b'{"data": {"k": 1}, "ttl": %b}' % digits, Format.JSON, way) is None
    assert incremented(b'{"data": {"k": %b}}' % digits, Format.JSON) is None
