"""A second implementation of the contract's rules for options, and bodies that may break them."""

import math
import re
from typing import Any

from tests.fuzz.chance import Chance, integer, text

Document = dict[str, Any]
INHERIT = object()


class BrokenRuleError(Exception):
    """The document must be refused."""


def need(holds: bool) -> None:  # noqa: FBT001
    if not holds:
        raise BrokenRuleError


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def expiry(place: Document, *, keep: bool) -> Any:
    """The expiry of one place; `INHERIT` if it has none."""
    need(not {"ttl", "expires_at"} <= place.keys())
    if "ttl" in place:
        ttl = place["ttl"]
        if ttl is None:
            return None
        if keep and isinstance(ttl, str) and ttl == "keep":
            return 0
        need(is_number(ttl) and 0 < ttl <= 10 * 365 * 24 * 3600)
        return max(1, round(ttl * 1000))
    if "expires_at" in place:
        moment = place["expires_at"]
        need(is_number(moment) and (isinstance(moment, int) or math.isfinite(moment)) and moment <= 253402300799)
        return -1 if moment <= 0 else -max(1, round(moment * 1000))
    return INHERIT


def condition(place: Document) -> Any:
    """The condition of one place; `INHERIT` if it has none."""
    if "if" not in place:
        return INHERIT
    given = place["if"]
    if given is None or given in ("absent", "present"):
        return {None: None, "absent": False, "present": True}[given]
    need(isinstance(given, dict) and list(given) == ["version"] and isinstance(given["version"], str))
    version = given["version"]
    need(re.fullmatch(r"[!-~]{1,32}", version) is not None)
    return int(version, 16) if re.fullmatch("0|[1-9a-f][0-9a-f]{0,15}", version) else 2**64 - 1


def options_of(document: Document, keys: Any, members: set[str]) -> Document:
    options = document.get("options", {})
    need(isinstance(options, dict))
    for key, own in options.items():
        need(key in keys and isinstance(own, dict) and own.keys() <= members)
    return {key: options.get(key, {}) for key in keys}


def either(own: Any, every: Any, default: Any) -> Any:
    for given in (own, every):
        if given is not INHERIT:
            return given
    return default


def write(document: Document) -> tuple[bool, Document]:
    """Whether a write has conditions or asks for versions, and the expiry and condition of each key."""
    need(document.keys() <= {"data", "ttl", "expires_at", "if", "options", "return"})
    words = document.get("return", [])
    need(isinstance(words, list) and all(word == "version" for word in words))
    every = expiry(document, keep=True), condition(document)
    marks = {}
    for key, own in options_of(document, document["data"], {"ttl", "expires_at", "if"}).items():
        marks[key] = (either(expiry(own, keep=True), every[0], None), either(condition(own), every[1], None))
    # A condition of the batch that every key overrides still makes the batch an update.
    conditional = every[1] not in (None, INHERIT) or any(found is not None for _, found in marks.values())
    return bool(words) or conditional, marks


def increment(document: Document) -> Document:
    """The rules of each key of an increment."""
    members = {"ttl", "expires_at", "ttl_on", "min", "max", "initial"}
    need(document.keys() <= members | {"data", "options"})
    rows: Document = {}
    # The batch's own options are checked even if each key overrides them.
    every: Document = {"": {}, **options_of(document, document["data"], members)}
    for key, own in every.items():
        place = {**document, **own}
        if {"ttl", "expires_at"} & own.keys():
            place = {name: value for name, value in place.items() if name not in ("ttl", "expires_at") or name in own}
        for given in (document, own):
            expiry(given, keep=False)
            for name in ("min", "max", "initial"):
                if name in given and not (name != "initial" and given[name] is None):
                    need(type(given[name]) is int and -(2**63) <= given[name] < 2**63)
            need("ttl_on" not in given or given["ttl_on"] in ("create", "always"))
        low, high = place.get("min"), place.get("max")
        need(low is None or high is None or low <= high)
        delta = document["data"].get(key, 0)
        need(type(delta) is int and -(2**63) <= delta < 2**63)
        given_expiry = expiry(place, keep=False)
        # Without an expiry each counter keeps its own, whatever `ttl_on` says.
        always = place.get("ttl_on") == "always" and given_expiry is not INHERIT
        ends = either(given_expiry, INHERIT, None)
        rows[key] = [delta, place.get("initial", 0), low, high, ends, always]
    del rows[""]
    return rows


def _pick(chance: Chance, *good: Any) -> Any:
    if chance.random() < 0.9:
        return chance.choice(good)
    odd: tuple[Any, ...] = (
        None,
        True,
        False,
        "",
        "keep",
        0,
        -1,
        1.0,
        -0.5,
        [],
        {},
        text(chance),
        integer(chance),
        [1],
        {"version": 1},
    )
    return chance.choice(odd)


def place(chance: Chance, members: tuple[str, ...]) -> Document:
    """Some members of one place."""
    made: Document = {}
    for name in members:
        if chance.random() < 0.4:
            made[name] = _pick(chance, *_GOOD[name])
    if chance.random() < 0.9 and "ttl" in made:
        made.pop("expires_at", None)
    return made


_GOOD: dict[str, tuple[Any, ...]] = {
    "ttl": (1, 60, 0.25, 315_360_000, None, "keep", 1e-9, 5e-324, 1.0005, 2.0),
    "expires_at": (1, 0, -5, 1_798_761_600.5, 253402300799, 1e-4, -1e300, 1_798_761_600.0006),
    "if": ("absent", "present", None, *({"version": text} for text in ("0", "6a1", "f" * 16, "06", "~" * 32))),
    "ttl_on": ("create", "always"),
    "min": (None, 0, -(2**63), -5),
    "max": (None, 9, 2**63 - 1, -5),
    "initial": (0, 5, -1, 2**63 - 1),
}


def made_document(chance: Chance, members: tuple[str, ...], value: Any) -> Document:
    """A body with data whose values `value` draws, and with further members."""
    keys = [text(chance) or "a" for _ in range(chance.randint(1, 4))]
    document: Document = {"data": {key: value(chance) for key in keys}, **place(chance, members)}
    if chance.random() < 0.6:
        named = [key for key in keys if chance.random() < 0.6] + (["zz"] if chance.random() < 0.05 else [])
        document["options"] = {key: place(chance, members) for key in named}
        if chance.random() < 0.05:
            document["options"] = _pick(chance, [], None)
    if "if" in members and chance.random() < 0.3:
        document["return"] = _pick(chance, ["version"], [], ["version", "version"], ["versions"])
    return document
