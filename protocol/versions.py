"""The versions of keys as clients see them: hexadecimal digits without leading zeros."""

from __future__ import annotations

import re

from protocol.changes import NO_VERSION

_VERSION = re.compile(r"0|[1-9a-f][0-9a-f]{0,15}")


def version_text(version: int) -> str:
    """A version as clients see it."""
    return format(version, "x")


def version_number(text: str) -> int:
    """The version that a text means; `NO_VERSION` if the text is not a version."""
    return int(text, 16) if _VERSION.fullmatch(text) else NO_VERSION
