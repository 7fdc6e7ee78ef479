"""Checks MessagePack values as bytes: a dict is not made of a map's keys, because a client could choose keys with equal
hashes.

Python hashes numbers, and arrays of them, without a secret: 2 MB of chosen keys keep a dict busy for 20 seconds. Texts
are hashed with a secret. So values whose map keys are all texts are decoded, which is fast. All other values are
checked byte by byte (`api.batch.msgpack_walk`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import GenericAlias
from typing import Annotated, Any

import msgspec

from protocol.chunks import array_header

_DEPTH = 8

_Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]


def _arrays_of_plain_values(number: Any) -> Any:
    """The type of arrays of values that JSON can express, to a certain depth. Its decoder accepts only texts as map
    keys.
    """
    scalar = None | bool | int | str | number
    plain = scalar
    for _ in range(_DEPTH):
        plain = scalar | GenericAlias(list, plain) | GenericAlias(dict, (str, plain))
    return GenericAlias(list, plain)


plain_decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(_arrays_of_plain_values(float))
"""Decodes an array of values that JSON can express and that are not deep; raises `ValidationError` for any other."""

finite_decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(_arrays_of_plain_values(_Finite))
"""The same, and numbers must be finite."""

_check = finite_decoder.decode


def in_doubt(values: Sequence[msgspec.Raw]) -> Sequence[int]:
    """Positions of encoded values that `walk` must check; all others can be stored."""
    try:
        _check(array_header(len(values)) + b"".join(values))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        if len(values) == 1:
            return (0,)
        return [position for position, value in enumerate(values) if in_doubt((value,))]
    return ()
