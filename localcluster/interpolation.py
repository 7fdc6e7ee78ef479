"""Replaces `$NAME` and `${NAME…}` in a value as Docker Compose does. It knows nothing of files.

The rules: https://docs.docker.com/reference/compose-file/interpolation/
"""

from __future__ import annotations

import re
from collections.abc import Callable

Lookup = Callable[[str], str | None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")


class InterpolationError(ValueError):
    """A `${…}` that Compose would refuse, or a `${NAME:?reason}` whose variable is missing."""


def interpolate(text: str, lookup: Lookup) -> str:
    """The text with every variable replaced; `lookup` returns None if a variable is not set.

    `$$` is a dollar sign, and so is a dollar sign before anything but a name or a brace. An unknown variable is empty.
    """
    result = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        result.append(text[position:dollar])
        rest = text[dollar + 1 :]
        if rest.startswith("{"):
            end = _closing_brace(text, dollar + 1)
            result.append(_braced(text[dollar + 2 : end], lookup))
            position = end + 1
        elif name := _NAME.match(rest):
            result.append(lookup(name[0]) or "")
            position = dollar + 1 + name.end()
        else:
            result.append("$")
            position = dollar + (2 if rest.startswith("$") else 1)
    return "".join([*result, text[position:]])


def _closing_brace(text: str, opening: int) -> int:
    depth = 0
    for index in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise InterpolationError("a ${ has no closing brace")


def _braced(inside: str, lookup: Lookup) -> str:
    name = _NAME.match(inside)
    if name is None:
        raise InterpolationError(f"${{{inside}}} names no variable")
    value = lookup(name[0])
    rest = inside[name.end() :]
    if not rest:
        return value or ""
    operator = next((operator for operator in _OPERATORS if rest.startswith(operator)), None)
    if operator is None:
        raise InterpolationError(f"${{{inside}}} is no form of interpolation that Compose has")
    word = rest[len(operator) :]
    # With a colon, an empty variable counts as not set.
    given = value is not None and (value != "" or not operator.startswith(":"))
    match operator[-1]:
        case "-":
            return (value or "") if given else interpolate(word, lookup)
        case "+":
            return interpolate(word, lookup) if given else ""
        case _:
            if not given:
                raise InterpolationError(f"{name[0]} is not set: {interpolate(word, lookup)}".rstrip(": "))
            return value or ""
