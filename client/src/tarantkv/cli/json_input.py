"""Parses JSON that a person or a pipe gives to a command."""

from __future__ import annotations

from typing import Any


def parsed(text: bytes | str) -> Any:
    """A document of JSON, without the numbers that only Python knows.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    # Imported here, because most calls of `tarantkv get` need no JSON.
    import json

    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")
