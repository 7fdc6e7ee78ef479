"""Header fields by name: which of them may occur only once, and how the lines of the others are joined."""

from __future__ import annotations

import re
from collections.abc import Iterable

from api.http.problems import Kind, Problem

SINGLE = frozenset(
    b"access-control-request-method authorization content-length content-location content-range content-type date "
    b"from host idempotency-key if-modified-since if-range if-unmodified-since max-forwards origin proxy-authorization "
    b"range referer traceparent transfer-encoding user-agent x-request-id".split()
)
"""Fields that are no lists (RFC 9110, section 5.3): a second line makes the request ambiguous."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_SPELLINGS = {
    spelling: name
    for name in (*SINGLE, b"accept", b"accept-encoding", b"connection", b"expect", b"x-forwarded-for")
    for spelling in (name, name.title())
}
"""The lower-case names for usual spellings: a look-up costs a third of a check."""

Fields = dict[bytes, bytes]


def parse_fields(lines: Iterable[bytes]) -> Fields:
    """Header fields by lower-case name, from the lines of a head; lines of the same list are joined by commas.

    Raises:
        Problem: 400, a line is not a header field, or a field that must be single occurs twice.
    """
    fields: Fields = {}
    for line in lines:
        spelling, colon, value = line.partition(b":")
        name = _SPELLINGS.get(spelling) or _lower(spelling)
        if not colon:
            raise Problem(Kind.MALFORMED_REQUEST, "a header line has no colon")
        if name in fields:
            _add(fields, name, value.strip(b" \t"))
        else:
            fields[name] = value.strip(b" \t")
    return fields


def collect(pairs: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The same for names in lower case and values, as an ASGI server gives them.

    Raises:
        Problem: 400, a field that must be single occurs twice.
    """
    fields: Fields = {}
    for name, value in pairs:
        if name in fields:
            _add(fields, name, value)
        else:
            fields[name] = value
    return fields


def _lower(spelling: bytes) -> bytes:
    if _TOKEN.fullmatch(spelling) is None:
        raise Problem(Kind.MALFORMED_REQUEST, "the name of a header field is not valid")
    return spelling.lower()


def _add(fields: Fields, name: bytes, value: bytes) -> None:
    """Add one more line of a field."""
    if name in SINGLE:
        raise Problem(Kind.INVALID_HEADER, f"the header {name.decode('ascii')} occurs more than once")
    fields[name] += b", " + value


def tokens(value: bytes) -> list[bytes]:
    """The elements of a list such as `Connection`'s, in lower case."""
    return [element for part in value.lower().split(b",") if (element := part.strip(b" \t"))]
