"""The query of a request: parameters by name, each at most once, percent-decoded."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from api.http.problems import Kind, Problem, at

LONGEST_NAME = 4096
"""Names of parameters up to this length are shown completely in problems."""

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def parameters(query: bytes, known: Collection[str]) -> dict[str, str]:
    """The parameters of a query.

    Raises:
        Problem: 400, one is unknown, occurs twice, or is not valid.
    """
    found: dict[str, str] = {}
    for part in query.split(b"&") if query else ():
        raw_name, equals, raw_value = part.partition(b"=")
        name = _text(raw_name, "the name of a parameter")
        if name not in known:
            raise _unknown(name)
        if not equals:
            raise fault(f"the parameter {name} has no value", name)
        if name in found:
            raise fault(f"the parameter {name} occurs more than once", name)
        found[name] = _text(raw_value, f"the parameter {name}", name)
    return found


def number(found: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """A parameter that is a whole number.

    Raises:
        Problem: 400, it is not a whole number, or not within the bounds.
    """
    text = found.get(name)
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,18}", text) is None or not least <= int(text) <= most:
        raise fault(f"the parameter {name} must be a whole number from {least} to {most}", name)
    return int(text)


def flag(found: dict[str, str], name: str, *, default: bool) -> bool:
    """A parameter that is true or false.

    Raises:
        Problem: 400, it is neither.
    """
    text = found.get(name)
    if text not in (None, "true", "false"):
        raise fault(f"the parameter {name} must be true or false", name)
    return default if text is None else text == "true"


def fault(detail: str, *path: str | int) -> Problem:
    """The problem of a parameter that is not valid; `path` is its name."""
    return at(Kind.INVALID_REQUEST, detail, *path)


def _text(raw: bytes, what: str, *path: str) -> str:
    if _BROKEN_ESCAPE.search(raw):
        raise fault(f"{what} has a percent sign without two hexadecimal digits", *path)
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise fault(f"{what} is not UTF-8", *path) from None


def _unknown(name: str) -> Problem:
    return fault(f"there is no parameter {name[:LONGEST_NAME]!r}", *([name] if len(name) <= LONGEST_NAME else []))
