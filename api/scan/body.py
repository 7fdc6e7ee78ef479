"""The body of `/api/scan`: every member is checked separately, so that a problem can name the faulty one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from api.batch.refused_body import LONGEST_NAME, empty_body, refuse
from api.http.negotiation import Format
from api.http.problems import Kind, Problem, at
from api.scan.cursors import CursorOf, Cursors, Place
from api.scan.selection import Selection, bounds

MAX_LIMIT = 10_000
DEFAULT_LIMIT = 1000
WITH = ("version", "expires_at")

_SELECTORS = ("prefix", "start", "end", "reverse", "values", "with")
_MEMBERS = frozenset((*_SELECTORS, "limit", "cursor"))

# A union is a type to the decoder. No member is a map: a map must not become a dict, because a client could choose keys
# with equal hashes.
_Scalar: TypeAlias = bool | int | float | str | None
_MEMBER = _Scalar | list[_Scalar]

_SOMETHING_ELSE = object()
"""A value that no member can have."""

_decoders = {
    Format.JSON: msgspec.json.Decoder(dict[str, msgspec.Raw]).decode,
    Format.MSGPACK: msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode,
}
_members = {
    Format.JSON: msgspec.json.Decoder(_MEMBER).decode,
    Format.MSGPACK: msgspec.msgpack.Decoder(_MEMBER).decode,
}


class ScanRequest(NamedTuple):
    """The request for a page of a scan: where it begins, and how many keys it may have."""

    place: Place
    limit: int


def decode_scan(body: bytes, body_format: Format, cursors: Cursors, max_key: int) -> ScanRequest:
    """Decode the body of a scan.

    Raises:
        Problem: 400, the body is malformed or breaks a rule.
    """
    if not body:
        raise empty_body()
    try:
        found = _decoders[body_format](body)
        for name in found:
            if name not in _MEMBERS:
                shown = [name] * (len(name) <= LONGEST_NAME)
                raise fault(f"{name[:LONGEST_NAME]!r} is not a member of a scan", *shown)
        asked = {name: _member(raw, body_format) for name, raw in found.items()}
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        refuse(error, body_format, Kind.INVALID_REQUEST)
    limit = _limit(asked.get("limit", DEFAULT_LIMIT))
    if "cursor" not in asked:
        return ScanRequest(Place(_selection(asked, max_key), None, 0), limit)
    beside_cursor(asked, _SELECTORS)
    cursor = asked["cursor"]
    if type(cursor) is not str:
        raise fault("'cursor' must be a text", "cursor")
    return ScanRequest(cursors.take(CursorOf.SCAN, cursor), limit)


def _member(raw: msgspec.Raw, body_format: Format) -> object:
    """The value of a member, if its type is one that some member may have.

    Raises:
        msgspec.MsgspecError, ValueError: it is malformed.
    """
    try:
        return _members[body_format](raw)
    except msgspec.ValidationError:
        return _SOMETHING_ELSE


def fault(detail: str, *path: str | int) -> Problem:
    """The problem that a rule is broken."""
    return at(Kind.INVALID_REQUEST, detail, *path)


def beside_cursor(asked: Mapping[str, Any], selectors: tuple[str, ...]) -> None:
    """Check that no selector is given besides a cursor, which contains them all.

    Raises:
        Problem: 400.
    """
    for name in selectors:
        if name in asked:
            raise fault(f"{name!r} is part of the cursor, and must not be given as well", name)


def bound(name: str, text: object, max_key: int) -> bytes:
    """A bound as bytes.

    Raises:
        Problem: 400, it is not a valid bound.
    """
    if type(text) is not str:
        raise fault(f"{name!r} must be a text", name)
    encoded = text.encode()
    if len(encoded) > max_key:
        raise fault(f"{name!r} has {len(encoded)} bytes, a key has {max_key} at most", name)
    return encoded


def _limit(limit: object) -> int:
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise fault(f"'limit' must be a whole number from 1 to {MAX_LIMIT}", "limit")
    return limit


def _selection(asked: Mapping[str, Any], max_key: int) -> Selection:
    texts = {name: bound(name, asked[name], max_key) for name in ("prefix", "start", "end") if name in asked}
    flags = {name: asked[name] for name in ("reverse", "values") if name in asked}
    for name, flag in flags.items():
        if type(flag) is not bool:
            raise fault(f"{name!r} must be true or false", name)
    wanted = asked.get("with", [])
    if type(wanted) is not list:
        raise fault(f"'with' must be an array of {' and '.join(WITH)}", "with")
    for position, what in enumerate(wanted):
        if what not in WITH:
            raise fault(f"'with' may have {' and '.join(WITH)}", "with", position)
    lower, upper = bounds(texts.get("prefix", b""), texts.get("start", b""), texts.get("end"))
    return Selection(
        lower,
        upper,
        flags.get("reverse", False),
        flags.get("values", True),
        version="version" in wanted,
        expires_at="expires_at" in wanted,
    )
