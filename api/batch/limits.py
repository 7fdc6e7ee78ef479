"""Limits of a batch: the number of its keys, their length, and the size of values. A refusal names key and place.

`api.batch.values` has the rules for the content of a value. A body with very many names is refused while it is decoded
(`api.batch.counted_names`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from api.batch.refused_body import LONGEST_NAME, invalid_value, too_large
from api.http.problems import Kind, at
from protocol.settings import BatchSettings

_encode = msgspec.msgpack.Encoder().encode


def check_count(count: int, member: str, settings: BatchSettings) -> None:
    """Check the number of keys in a batch.

    Raises:
        Problem: 400, there are none, or too many.
    """
    if not count:
        raise at(Kind.EMPTY_BATCH, f"{member!r} is empty", member)
    if count > settings.max_batch_keys:
        raise at(Kind.TOO_MANY_KEYS, f"{count} keys, {settings.max_batch_keys} are allowed in a batch", member)


def check_names(names: Sequence[bytes], max_key: int, place: Callable[[int], tuple[str | int, ...]]) -> None:
    """Check the length of keys; `place` returns where in the body a key is.

    Raises:
        Problem: 400, one is empty or too long.
    """
    if max(map(len, names)) <= max_key and all(names):
        return
    position = next(position for position, name in enumerate(names) if not 0 < len(name) <= max_key)
    fault = f"a key has {len(names[position])} bytes, 1 to {max_key} are allowed"
    member, *within = place(position)
    raise at(Kind.INVALID_KEY, fault, member, *(part for part in within if len(str(part)) <= LONGEST_NAME))


def encoded_value(key: str, value: Any, max_value: int) -> bytes:
    """A value as MessagePack.

    Raises:
        Problem: 400, it has more bytes than `max_value`, or an integer beyond 64 bits.
    """
    try:
        encoded = _encode(value)
    except OverflowError:
        raise invalid_value(key, "an integer is outside [-2^63, 2^64)") from None
    if len(encoded) > max_value:
        raise too_large(key, len(encoded), max_value)
    return encoded
