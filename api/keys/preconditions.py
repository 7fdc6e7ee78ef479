"""Preconditions (RFC 9110, section 13): `If-Match` and `If-None-Match` as conditions on the version of a key.

The entity tag of a key is its version in quotes. The same key as MessagePack is another representation, and strong tags
must differ: its tag is the version followed by `-msgpack`. A change accepts either, because it is about the key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from api.http.fields import Fields
from api.http.negotiation import Format
from api.http.problems import Kind, Problem
from protocol.changes import NO_VERSION, Condition
from protocol.versions import version_number

MAX_TAGS = 8
"""Tags in one header of a change: each may cost a call of the shard."""

_SUFFIXES = {Format.JSON: "", Format.MSGPACK: "-msgpack"}
# Possessive quantifiers: blanks could belong to either side of a missing tag, and trying all divisions takes seconds
# for a header with some thousand blanks.
_ELEMENT = re.compile(rb'[ \t]*+(?:(W/)?"([\x21\x23-\x7e\x80-\xff]*+)")?[ \t]*+(,|$)')


class Tag(NamedTuple):
    """An entity tag, without its quotes."""

    weak: bool
    opaque: str


Tags = Sequence[Tag] | None
"""The tags that a header lists; None for `*`, which means any."""

NO_HEADER: Tags = ()


def entity_tag(version: str, accept: Format) -> str:
    """The tag of a key with a version, in a format, without its quotes."""
    return version + _SUFFIXES[accept]


def quoted(tag: str) -> bytes:
    """A tag as an `ETag` header has it."""
    return b'"%b"' % tag.encode("ascii")


class ReadIf(NamedTuple):
    """The preconditions of a read; `NO_HEADER` for a header that is missing."""

    match: Tags
    none_match: Tags

    def is_modified(self, current: str) -> bool:
        """Whether the answer contains the value, which has the tag `current`; if not, the client has it already.

        Raises:
            Problem: 412, `If-Match` failed.
        """
        if self.match is not None and Tag(weak=False, opaque=current) not in self.match and self.match != NO_HEADER:
            raise Problem(Kind.PRECONDITION_FAILED, "If-Match does not name the version that the key has")
        return self.none_match is not None and all(tag.opaque != current for tag in self.none_match)


def read_if(fields: Fields) -> ReadIf:
    """The preconditions of a read.

    Raises:
        Problem: 400, a header is not valid.
    """
    return ReadIf(*(_tags(fields, name) if name in fields else NO_HEADER for name in (b"if-match", b"if-none-match")))


def conditions(fields: Fields) -> Sequence[Condition]:
    """The conditions under which a change is made: one of them must hold.

    Raises:
        Problem: 400, a header is not valid, or has a condition that no shard can check.
    """
    if b"if-none-match" in fields:
        if b"if-match" in fields:
            raise _invalid("if-none-match", "If-Match and If-None-Match exclude each other in a change")
        if _tags(fields, b"if-none-match") is not None:
            raise _invalid("if-none-match", "in a change If-None-Match can only be *: the key must be absent")
        return (False,)
    if b"if-match" not in fields:
        return (None,)
    tags = _tags(fields, b"if-match")
    if tags is None:
        return (True,)
    versions = list(dict.fromkeys(_version(tag) for tag in tags if not tag.weak))
    if len(versions) > MAX_TAGS:
        raise _invalid("if-match", f"If-Match has {len(versions)} tags, {MAX_TAGS} are allowed in a change")
    # A weak tag never matches here (RFC 9110, section 13.1.1).
    return versions or (NO_VERSION,)


def _version(tag: Tag) -> int:
    return version_number(tag.opaque.removesuffix(_SUFFIXES[Format.MSGPACK]))


def _tags(fields: Fields, name: bytes) -> Tags:
    """The tags of a header.

    Raises:
        Problem: 400, it is neither `*` nor a list of tags.
    """
    value, header = fields[name], name.decode("ascii")
    if value.strip(b" \t") == b"*":
        return None
    tags: list[Tag] = []
    at = 0
    while at < len(value):
        element = _ELEMENT.match(value, at)
        if element is None:
            raise _invalid(header, f'{header} must be * or entity tags, each in double quotes, as "6b2"')
        if element[2] is not None:
            tags.append(Tag(element[1] is not None, element[2].decode("latin-1")))
        at = element.end()
    if not tags:
        raise _invalid(header, f"{header} has no entity tag")
    return tags


def _invalid(header: str, detail: str) -> Problem:
    return Problem(Kind.INVALID_HEADER, detail, members={"errors": [{"pointer": f"#/{header}", "detail": detail}]})
