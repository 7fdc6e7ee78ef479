"""The options of a request: what each of them makes of its keys."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from api.batch.bodies import DeleteBody, TouchBody
from api.batch.decode import KeysBody, decode_keys
from api.batch.members import Members
from api.batch.options import delete_conditions, read_options, touch_expiries
from api.batch.split import Groups
from api.batch.steps import at_once
from api.batch.write_body import add_write
from api.http.negotiation import Format
from api.http.problems import Kind, Problem
from protocol.operations import Operation
from tests.write_bodies import LIMITS, ONE_SHARD

ENCODE: dict[Format, Callable[[Any], bytes]] = {
    Format.JSON: msgspec.json.encode,
    Format.MSGPACK: msgspec.msgpack.encode,
}
NEVER = "never"
TEN_YEARS_S = 315_360_000
Key = dict[str, Any]


@pytest.fixture(params=Format)
def body_format(request: pytest.FixtureRequest) -> Format:
    found: Format = request.param
    return found


def written(body_format: Format, **document: Any) -> tuple[Operation, dict[str, tuple[Any, Any]]]:
    """The rows of a write: its operation, and the expiry (or `NEVER`) and condition of each key."""
    groups = Groups(ONE_SHARD)
    asked = add_write(groups, ENCODE[body_format](document), body_format, LIMITS)
    (part,) = groups.parts()
    body = msgspec.msgpack.decode(part.body)
    entries, conditions = (body, [None] * len(body)) if asked.operation is Operation.WRITE else body
    return asked.operation, {
        entry[0]: (entry[3] if len(entry) > 3 else NEVER, condition)
        for entry, condition in zip(entries, conditions, strict=True)
    }


def expiry(body_format: Format, **options: Any) -> Any:
    """The expiry of a key that is written with these members."""
    operation, marks = written(body_format, data={"k": 1}, **options)
    assert operation is Operation.WRITE
    return marks["k"][0]


def condition(body_format: Format, given: Any) -> Any:
    """The condition of a key that is written with this `if`."""
    operation, marks = written(body_format, data={"k": 1}, **{"if": given})
    assert operation is Operation.UPDATE
    return marks["k"][1]


def members(kind: KeysBody, body_format: Format, **document: Any) -> tuple[list[str], Members]:
    keys, more = decode_keys(ENCODE[body_format](document), body_format, LIMITS, kind)
    return keys, Members(more, body_format, LIMITS, frozenset(keys), "keys")


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [
        (3600, 3_600_000),
        (0.25, 250),
        (1.0, 1000),
        (0.0004, 1),
        (5e-324, 1),
        (1.0006, 1001),
        (TEN_YEARS_S, TEN_YEARS_S * 1000),
        ("keep", 0),
        (None, NEVER),
    ],
)
def test_a_ttl_is_sent_in_milliseconds_after_the_application(body_format: Format, ttl: Any, expected: Any) -> None:
    assert expiry(body_format, ttl=ttl) == expected


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        (1_798_761_600.5, -1_798_761_600_500),
        (1_798_761_600.001, -1_798_761_600_001),
        (1, -1000),
        (253_402_300_799, -253_402_300_799_000),
        (0, -1),
        (-5, -1),
        (-1.7e308, -1),
        (1e-9, -1),
    ],
)
def test_an_expires_at_is_sent_as_a_negative_unix_time(body_format: Format, expires_at: Any, expected: int) -> None:
    assert expiry(body_format, expires_at=expires_at) == expected


def test_options_of_a_key_have_precedence_over_those_of_the_batch(body_format: Format) -> None:
    data = dict.fromkeys("abcdef", 1)
    own: dict[str, Key] = {
        "a": {"ttl": 60},
        "b": {"expires_at": 5},
        "c": {"ttl": None},
        "d": {"ttl": "keep"},
        "e": {},
    }
    operation, marks = written(body_format, data=data, ttl=3600, options=own)
    assert operation is Operation.WRITE
    expiries = {key: found for key, (found, _) in marks.items()}
    assert expiries == {"a": 60_000, "b": -5000, "c": NEVER, "d": 0, "e": 3_600_000, "f": 3_600_000}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("absent", False),
        ("present", True),
        ({"version": "6a1"}, 0x6A1),
        ({"version": "0"}, 0),
        ({"version": "0006a1"}, 2**64 - 1),
        ({"version": "~" * 32}, 2**64 - 1),
    ],
)
def test_a_condition_is_absent_present_or_a_version(body_format: Format, given: Any, expected: Any) -> None:
    found = condition(body_format, given)
    assert (type(found), found) == (type(expected), expected)


def test_the_condition_of_a_key_has_precedence_over_that_of_the_batch(body_format: Format) -> None:
    own: dict[str, Key] = {"b": {"if": {"version": "6a1"}, "ttl": 60}, "c": {"if": None}}
    operation, marks = written(body_format, data={"a": 1, "b": 2, "c": 3}, options=own, **{"if": "absent"})
    assert operation is Operation.UPDATE
    assert marks == {"a": (NEVER, False), "b": (60_000, 0x6A1), "c": (NEVER, None)}


@pytest.mark.parametrize("more", [{}, {"if": None}, {"return": []}, {"options": {}}, {"options": {"k": {"if": None}}}])
def test_a_write_without_any_condition_is_a_plain_one(body_format: Format, more: Key) -> None:
    operation, marks = written(body_format, data={"k": 1}, **more)
    assert operation is Operation.WRITE
    assert marks == {"k": (NEVER, None)}


def test_a_write_that_asks_for_versions_is_an_update(body_format: Format) -> None:
    operation, marks = written(body_format, data={"k": 1}, **{"return": ["version"]})
    assert operation is Operation.UPDATE
    assert marks == {"k": (NEVER, None)}


def test_a_delete_has_a_condition_for_each_key(body_format: Format) -> None:
    options: dict[str, Key] = {"b": {"if": {"version": "9"}}, "c": {"if": None}}
    _, more = members(DeleteBody, body_format, keys=["a", "b", "c"], options=options, **{"if": "present"})
    conditions = at_once(delete_conditions(more))
    assert [conditions.of(key) for key in "abc"] == [True, 9, None]


def test_a_touch_has_an_expiry_for_each_key(body_format: Format) -> None:
    options: dict[str, Key] = {"b": {"ttl": None}, "c": {"expires_at": 5}}
    keys, more = members(TouchBody, body_format, keys=["a", "b", "c"], ttl=60, options=options)
    expiries = at_once(touch_expiries(more, keys))
    assert [expiries.of(key) for key in "abc"] == [60_000, None, -5000]


def test_a_touch_needs_no_common_expiry_if_each_key_has_one(body_format: Format) -> None:
    keys, more = members(TouchBody, body_format, keys=["a"], options={"a": {"ttl": 1}})
    assert at_once(touch_expiries(more, keys)).of("a") == 1000


def test_a_read_may_ask_for_more_members_and_for_a_partial_answer() -> None:
    _, more = decode_keys(b'{"keys": ["a"], "with": ["version", "expires_at"], "partial": true}', Format.JSON, LIMITS)
    options = read_options(Members(more, Format.JSON, LIMITS, {"a"}, "keys"))
    assert options.wanted == {"version", "expires_at"}
    assert options.partial


def test_options_of_a_large_body_are_counted() -> None:
    options = b",".join([b'"k":{}'] * (8 * LIMITS.max_batch_keys + 1))
    body = b'{"data": {"k": 1}, "options": {' + options + b"}}"
    with pytest.raises(Problem) as caught:
        add_write(Groups(ONE_SHARD), body, Format.JSON, LIMITS)
    assert caught.value.kind is Kind.TOO_MANY_KEYS
    assert caught.value.members["errors"][0]["pointer"] == "#/options"
