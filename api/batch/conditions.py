"""Conditions: turns `if` of a request into the form that chunks carry (`protocol.changes`)."""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from api.batch.refused_body import invalid
from protocol.changes import Condition
from protocol.versions import version_number


class HasVersion(msgspec.Struct, forbid_unknown_fields=True):
    """The condition that a key has a certain version."""

    version: str


GivenIf: TypeAlias = HasVersion | str | None
"""The types that the decoder accepts for `if`."""

_VERSION = re.compile(r"[\x21-\x7e]{1,32}")
_WORDS = {"absent": False, "present": True}


def condition_of(given: GivenIf | UnsetType, *path: str) -> Condition | UnsetType:
    """The condition at one place of a request, UNSET if there is none; `path` is that place.

    Raises:
        Problem: 400, it is not a valid condition.
    """
    if given is None or given is UNSET:
        return given
    if isinstance(given, str):
        if given not in _WORDS:
            raise invalid('\'if\' must be "absent", "present", {"version": …} or null', *path, "if")
        return _WORDS[given]
    if not _VERSION.fullmatch(given.version):
        raise invalid("a version has 1 to 32 visible ASCII characters", *path, "if", "version")
    return version_number(given.version)
