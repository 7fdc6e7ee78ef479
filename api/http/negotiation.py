"""Media types and content codings: which format a body has, and which one its answer gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from api.http.problems import Kind, Problem


class Format(Enum):
    """A body's encoding."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"

    # Python computes the hash of an enumeration from its name, and each answer looks its type up.
    __hash__ = object.__hash__


_NAMES = {
    Format.JSON: (b"application/json",),
    Format.MSGPACK: (b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack"),
}
_MEDIA_TYPES = {name: each for each, names in _NAMES.items() for name in names}

MAX_REMEMBERED_BYTES = 256
"""The longest `Accept` header that is cached: clients send the same short ones again and again."""

_PART = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""An element of a list; it may have commas between quotes."""

_WEIGHT = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def format_of(content_type: bytes | None) -> Format:
    """The format that a `Content-Type` names; JSON if there is none.

    Raises:
        Problem: 415, another media type, or a charset that is not UTF-8.
    """
    if content_type is None or content_type == b"application/json":
        return Format.JSON
    media_type, *parameters = (part.strip() for part in content_type.lower().split(b";"))
    found = _MEDIA_TYPES.get(media_type)
    charsets = {part.removeprefix(b"charset=").strip(b'"') for part in parameters if part.startswith(b"charset=")}
    if found is None or not charsets <= {b"utf-8", b"utf8", b"us-ascii"}:
        raise Problem(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/json in UTF-8, or application/msgpack",
            headers={"Accept-Post": "application/json, application/msgpack"},
        )
    return found


def check_coding(content_encoding: bytes | None) -> None:
    """Check that a body is not compressed.

    Raises:
        Problem: 415, it is compressed.
    """
    if content_encoding is not None and content_encoding.lower() != b"identity":
        raise Problem(
            Kind.UNSUPPORTED_CODING, "the body must not be compressed", headers={"Accept-Encoding": "identity"}
        )


def accepted(accept: bytes | None) -> Format:
    """The format that an `Accept` header asks for (RFC 9110, section 12.5.1): the one with the higher weight.

    With equal weights MessagePack if the header names it, otherwise JSON. If neither is acceptable, JSON: people can
    read it, at least.
    """
    if accept is None or accept == b"application/json":
        return Format.JSON
    return _preferred(accept) if len(accept) <= MAX_REMEMBERED_BYTES else _prefer(accept)


def _prefer(accept: bytes) -> Format:
    weights = dict(found for part in _PART.findall(accept.lower()) if (found := _media_range(part)) is not None)
    json, msgpack = _weight(weights, Format.JSON), _weight(weights, Format.MSGPACK)
    named = not weights.keys().isdisjoint(_NAMES[Format.MSGPACK])
    return Format.MSGPACK if msgpack > json or (named and msgpack == json > 0) else Format.JSON


_preferred = lru_cache(maxsize=256)(_prefer)


def _media_range(part: bytes) -> tuple[bytes, float] | None:
    """A media type, perhaps with wildcards, and its weight; None if the part is not valid."""
    media_type, *parameters = (piece.strip() for piece in part.split(b";"))
    if not media_type:
        return None
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            return (media_type, float(value)) if _WEIGHT.fullmatch(value.strip()) else None
    return media_type, 1.0


def _weight(weights: Mapping[bytes, float], wanted: Format) -> float:
    """The weight of a format: that of the most specific range that covers it, 0 if none does."""
    covering = (*_NAMES[wanted], b"application/*", b"*/*")
    return next((weights[media_type] for media_type in covering if media_type in weights), 0.0)
