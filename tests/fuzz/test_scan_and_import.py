"""Bodies of scans, queries of exports and lines of imports, compared with a second implementation of the rules."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec
from hypothesis import strategies as st

from api.batch.steps import at_once
from api.http.negotiation import Format
from api.http.problems import Problem
from api.http.query import parameters
from api.scan.body import WITH, decode_scan
from api.scan.cursors import Cursors
from api.scan.import_lines import read_lines
from api.scan.selection import Selection
from tests.fuzz import option_rules as rules
from tests.fuzz.chance import Chance, integer, made, text
from tests.fuzz.damage import damages
from tests.fuzz.effort import fuzz
from tests.write_bodies import LIMITS

CURSORS = Cursors(["s" * 32], lambda: "here")
KEYS = ("a", "a\0", "aa", "ab", "b", "\x7f", "é", "\uffff", "\U0001f600", "\U0010ffff")
"""Prefixes around the bounds, one byte more or less."""


def refused(problem: Problem) -> None:
    """A `with` block whose refusals must be problems that can be rendered."""
    assert problem.status == 400
    assert json.loads(problem.body("id"))["status"] == 400


def bound(chance: Chance) -> Any:
    return chance.choice((*KEYS, *KEYS, "", text(chance), "é" * 512, "é" * 513, None, 1, ["a"]))


def scan(chance: Chance) -> dict[str, Any]:
    """The body of a scan, which may break a rule."""
    makers: dict[str, Callable[[], Any]] = {
        "prefix": lambda: bound(chance),
        "start": lambda: bound(chance),
        "end": lambda: bound(chance),
        "reverse": lambda: chance.choice((True, False, True, False, None, 1)),
        "values": lambda: chance.choice((True, False, True, False, "true")),
        "with": lambda: chance.choice(([], ["version"], [*WITH], ["version", "version"], ["value"], "version", None)),
        "limit": lambda: chance.choice((1, 1000, 10_000, 10_001, 0, -1, 1.0, True, None, integer(chance))),
        "cursor": lambda: chance.choice(("", "AfXq0JkT7b2c", None, text(chance))),
        "prefixx": lambda: "a",
    }
    rare = {"cursor": 0.03, "prefixx": 0.03}
    return {name: make() for name, make in makers.items() if chance.random() < rare.get(name, 0.4)}


def is_allowed(asked: dict[str, Any]) -> bool:
    texts = [asked[name] for name in ("prefix", "start", "end") if name in asked]
    return (
        not {"cursor", "prefixx"} & asked.keys()
        and all(isinstance(bound, str) and len(bound.encode()) <= LIMITS.max_key_bytes for bound in texts)
        and all(isinstance(asked.get(name, True), bool) for name in ("reverse", "values"))
        and isinstance(asked.get("with", []), list)
        and set(asked.get("with", [])) <= set(WITH)
        and type(asked.get("limit", 1)) is int
        and 1 <= asked.get("limit", 1) <= 10_000
    )


def selected(selection: Selection, key: str) -> bool:
    lower, upper, encoded = selection.lower, selection.upper, key.encode()
    return (lower is None or encoded >= lower) and (upper is None or encoded < upper)


def decoded(body: bytes, body_format: Format) -> Any:
    try:
        return decode_scan(body, body_format, CURSORS, LIMITS.max_key_bytes)
    except Problem as problem:
        return refused(problem)


@fuzz(made(scan), examples=600)
def test_a_scan_selects_what_the_rules_say_or_is_refused(asked: Any) -> None:
    bodies = [(json.dumps(asked).encode(), Format.JSON)]
    if not isinstance(asked.get("limit"), int) or abs(asked["limit"]) < 2**63:
        bodies.append((msgspec.msgpack.encode(asked), Format.MSGPACK))
    for body, body_format in bodies:
        found = decoded(body, body_format)
        assert (found is not None) == is_allowed(asked)
        if found is None:
            continue
        selection = found.place.selection
        assert found.limit == asked.get("limit", 1000)
        assert (selection.version, selection.expires_at) == tuple(word in asked.get("with", ()) for word in WITH)
        assert (selection.reverse, selection.values) == (asked.get("reverse", False), asked.get("values", True))
        for key in KEYS:
            encoded, start, end = key.encode(), asked.get("start", "").encode(), asked.get("end")
            assert selected(selection, key) == (
                key.startswith(asked.get("prefix", "")) and encoded >= start and (end is None or encoded < end.encode())
            )


@fuzz(damages(made(scan).map(lambda asked: json.dumps(asked).encode())), st.sampled_from(Format), examples=400)
def test_a_damaged_scan_is_accepted_or_refused(body: bytes, body_format: Format) -> None:
    decoded(body, body_format)


NAMES = ("prefix", "start", "cursor")


@fuzz(made(lambda chance: {name: text(chance) for name in NAMES if chance.random() < 0.7}), examples=200)
def test_a_query_is_unescaped_exactly(found: Any) -> None:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in found.items())
    assert parameters(query.encode(), NAMES) == found


@fuzz(damages(st.just(b"prefix=a%C3%A9%20b&start=%00&cursor=x+y")), examples=300)
def test_a_damaged_query_is_accepted_or_refused(query: bytes) -> None:
    try:
        assert parameters(query, NAMES).keys() <= set(NAMES)
    except Problem as problem:
        refused(problem)


def line(chance: Chance) -> dict[str, Any]:
    """A line of an import, which may break a rule, with a key that no other line has."""
    document = rules.place(chance, ("ttl", "expires_at", "if"))
    document["key"] = f"{chance.getrandbits(64):x}{text(chance)}"
    if chance.random() < 0.9:
        document["value"] = chance.choice((1, None, "x", [1.5], {"a": {}}, 2**64 - 1, 2**64))
    if chance.random() < 0.1:
        document[chance.choice(("version", "more", "cursor", "end", "items"))] = chance.choice(("1", 1, True, None))
    return document


def stored(document: dict[str, Any]) -> Any:
    """The expiry and the condition of a line; None if it must be rejected."""
    try:
        ends = rules.expiry(document, keep=False)
    except rules.BrokenRuleError:
        return None
    fine = (
        document.keys() <= {"key", "value", "ttl", "expires_at", "if", "version"}
        and isinstance(document.get("version", ""), str)
        and document.get("value", 2**64) != 2**64
        and document.get("if") in (None, "absent")
    )
    return (None if ends is rules.INHERIT else ends, document.get("if") == "absent") if fine else None


lines = made(lambda chance: [line(chance) for _ in range(chance.randint(1, 12))])


@fuzz(lines, examples=300)
def test_each_line_of_an_import_is_stored_as_the_rules_say_or_rejected_by_its_number(documents: Any) -> None:
    body = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
    found = at_once(read_lines(body, 7, LIMITS))
    for number, document in enumerate(documents, 7):
        item, expected = found.items.get(document["key"]), stored(document)
        assert (None if item is None else (item.expiry, item.if_absent)) == expected
        assert (number in found.rejected) == (expected is None)
        if item is not None:
            assert msgspec.msgpack.decode(item.value) == document["value"]


@fuzz(damages(lines.map(lambda made: b"\n".join(json.dumps(each).encode() for each in made))), examples=300)
def test_each_line_of_a_damaged_import_is_stored_rejected_or_skipped(body: bytes) -> None:
    try:
        found = at_once(read_lines(body, 1, LIMITS))
    except Problem as problem:
        refused(problem)
        return
    assert found.lines == len(found.items) + len(found.rejected)
    assert found.items.keys() == found.number.keys()
    assert not set(found.number.values()) & found.rejected.keys()
