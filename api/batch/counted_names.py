"""Decodes bodies and limits the number of names in them.

Without the limit the decoder would read millions of keys, or of members with the same key, before they could be
counted.
"""

from __future__ import annotations

from collections.abc import Callable

from api.http.problems import Kind, at
from protocol.settings import BatchSettings

REPEATS = 8
"""A batch may name keys repeatedly: this many times its limit of different keys are read."""


class _IsText(type):
    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, str)


class Name(metaclass=_IsText):
    """A text; for the decoder it is a type of ours, so that it calls our hook for each one."""


def name_counter(member: str, limits: BatchSettings) -> Callable[[type, object], object]:
    """A `dec_hook` that counts the names in `member` of a body.

    Raises:
        Problem: 400, there are too many.
    """
    most = REPEATS * limits.max_batch_keys
    left = most

    def count(_: type, name: object) -> object:
        nonlocal left
        if type(name) is not str:
            raise ValueError(f"Expected `str`, got `{type(name).__name__}`")
        left -= 1
        if left < 0:
            allowed = f"{limits.max_batch_keys} are allowed in a batch"
            raise at(Kind.TOO_MANY_KEYS, f"more than {most} keys, some of them again and again; {allowed}", member)
        return name

    return count
