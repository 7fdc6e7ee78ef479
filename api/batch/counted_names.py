"""Decodes bodies with a bound on the names in them.

The decoder would read millions of keys, or of members with the same key, before anybody could count them.
"""

from __future__ import annotations

from collections.abc import Callable

from api.http.problems import Kind, at
from protocol.settings import BatchSettings

REPEATS = 8
"""A batch may name keys again: so many times as many names as it may have different keys are read."""


class _IsText(type):
    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, str)


class Name(metaclass=_IsText):
    """A text, to the decoder a type of ours: it hands each one to our hook."""


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
