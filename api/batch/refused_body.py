"""The problems of invalid request bodies. Their texts stay short, however long the names in a body are."""

from __future__ import annotations

from itertools import takewhile
from typing import NoReturn

import msgspec

from api.batch.values import MAX_DEPTH
from api.http.negotiation import Format
from api.http.problems import Kind, Problem, at

TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"

LONGEST_NAME = 4096
"""The longest key that is shown completely, in characters. The longest key that can be stored has a quarter of that."""

_LONGEST_TEXT = 500


def refuse(error: Exception, body_format: Format, excess: Kind) -> NoReturn:
    """Raise the problem of a body; `excess` is its kind if a number is too large or the nesting too deep."""
    name = "JSON" if body_format is Format.JSON else "MessagePack"
    if isinstance(error, msgspec.ValidationError):
        detail, _, path = str(error)[:_LONGEST_TEXT].partition(" - at ")
        if detail.startswith(("Number out of range", "Integer value out of range")):
            raise Problem(excess, f"{detail} at {path}" if path else detail) from None
        raise Problem(Kind.INVALID_REQUEST, f"{detail}, at {path}" if path else detail) from None
    if isinstance(error, RecursionError):
        raise Problem(excess, f"the body is {TOO_DEEP}") from None
    if isinstance(error, UnicodeDecodeError):
        raise Problem(Kind.MALFORMED_BODY, f"a text in the {name} body is not UTF-8: {error.reason}") from None
    why = why_no_json(error) if body_format is Format.JSON else str(error)[:_LONGEST_TEXT]
    raise Problem(Kind.MALFORMED_BODY, f"the body is not {name}: {why}") from None


def why_no_json(error: Exception) -> str:
    """Why a text is not JSON. The decoder calls a lone surrogate in the last few bytes a truncation."""
    text = str(error)[:_LONGEST_TEXT]
    return f"{text}, or ends with half of a surrogate pair" if text == "Input data was truncated" else text


def invalid(detail: str, *path: str) -> Problem:
    """The problem of a body that breaks a rule at a place. If a name in the path is very long, the path ends before
    it.
    """
    short = list(takewhile(lambda part: len(part) <= LONGEST_NAME, path))
    return at(Kind.INVALID_REQUEST, detail, *short)


def empty_body() -> Problem:
    """The problem of an empty body."""
    return Problem(Kind.MALFORMED_BODY, "the body is empty")


def invalid_value(key: str, detail: str) -> Problem:
    """A problem that names the key of a value that cannot be stored."""
    if len(key) > LONGEST_NAME:
        return at(Kind.INVALID_VALUE, f"the value of a key of {len(key)} characters cannot be kept: {detail}", "data")
    return at(Kind.INVALID_VALUE, f"the value of key {key!r} cannot be kept: {detail}", "data", key)


def too_large(key: str, size: int | str, max_value: int) -> Problem:
    """A problem that names the key of a value that is too large."""
    return invalid_value(key, f"it has {size} bytes as MessagePack, {max_value} are allowed")
