"""Media types: which format a body has, and which one an answer should have."""

from __future__ import annotations

from enum import Enum

from api.http.problems import Kind, Problem


class Format(Enum):
    """A body's encoding."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"


_MEDIA_TYPES = {
    b"application/json": Format.JSON,
    b"application/msgpack": Format.MSGPACK,
    b"application/x-msgpack": Format.MSGPACK,
    b"application/vnd.msgpack": Format.MSGPACK,
}


def format_of(content_type: bytes | None) -> Format:
    """The format that a `Content-Type` names; JSON where there is none.

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


def accepted(accept: bytes | None) -> Format:
    """The format that an `Accept` header asks for: MessagePack where it names it and does not prefer JSON."""
    if accept is None or b"msgpack" not in (wanted := accept.lower()):
        return Format.JSON
    weights: dict[Format, float] = {}
    for part in wanted.split(b","):
        media_type, _, parameters = part.partition(b";")
        found = _MEDIA_TYPES.get(media_type.strip())
        if found is not None:
            quality = parameters.strip().removeprefix(b"q=")
            try:
                weights[found] = float(quality) if quality else 1.0
            except ValueError:
                weights[found] = 1.0
    json, msgpack = weights.get(Format.JSON, 0.0), weights.get(Format.MSGPACK, 0.0)
    return Format.MSGPACK if msgpack > 0 and msgpack >= json else Format.JSON
