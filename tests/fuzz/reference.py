"""The meaning of bodies according to other libraries than the product's: Python's own JSON, and msgpack."""

import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn
from unittest.mock import patch

from msgpack import fallback

from tests.fuzz.chance import Chance, integer, text

MAX_DEPTH = 128
TIMESTAMP = -1


_SCALARS: tuple[Callable[[Chance], Any], ...] = (
    lambda chance: chance.choice((None, True, False)),
    integer,
    lambda chance: chance.uniform(-1, 1) * 10 ** chance.randint(-320, 300),
    lambda chance: chance.choice((0.0, -0.0, 1e300, 5e-324, float(chance.randint(-9, 9)))),
    lambda chance: text(chance, surrogates=True),
    lambda chance: text(chance, surrogates=True),
)


def json_value(chance: Chance, levels: int = 4) -> Any:
    """Any value that `json` can write, even one that the API does not store."""
    kind = chance.randrange(9 if levels else 6)
    if kind < 6:
        return _SCALARS[kind](chance)
    inner = [json_value(chance, levels - 1) for _ in range(chance.randrange(5))]
    return {text(chance, surrogates=True): item for item in inner} if kind == 6 else inner


class NoJsonError(ValueError):
    """The text is not JSON, or a number in it is not a double."""


def _no_constant(name: str) -> NoReturn:
    raise NoJsonError(name)


def _double(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NoJsonError(digits)
    return number


def read_json(body: bytes) -> Any:
    """The document of a JSON body, raises ValueError or RecursionError."""
    return json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_double)


def read_msgpack(body: bytes) -> Any:
    """The document of a MessagePack body as pairs, so that no member is lost; raises ValueError and others."""
    with patch.object(fallback, "Timestamp", TimestampAsBytes):
        # The implementation in Python has an option not to convert timestamps.
        unpacker = fallback.Unpacker(
            None,
            max_buffer_size=len(body),
            strict_map_key=False,
            object_pairs_hook=Pairs,
            use_list=False,
            ext_hook=Extension,
        )
        unpacker.feed(body)
        document = unpacker.unpack()
    if unpacker.tell() != len(body):
        raise ValueError("more behind the document")
    return document


class Extension(NamedTuple):
    """A value of an extension type."""

    code: int
    data: bytes


class TimestampAsBytes:
    """Replaces the library's timestamps, which allow only certain lengths and times."""

    @staticmethod
    def from_bytes(data: bytes) -> Extension:
        """Handle it like any other extension."""
        return Extension(TIMESTAMP, data)


class Pairs(tuple[tuple[Any, Any], ...]):
    """A map of MessagePack: its members in order."""

    __slots__ = ()


def can_be_kept(value: Any, depth: int = 0) -> bool:
    """Whether the API promises to store a decoded JSON value."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if isinstance(value, list):
        return depth < MAX_DEPTH and all(can_be_kept(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return depth < MAX_DEPTH and all(can_be_kept(item, depth + 1) for member in value.items() for item in member)
    return True


def msgpack_can_be_kept(value: Any, depth: int = 0, *, in_name: bool = False) -> bool:
    """The same for a value that `read_msgpack` returned; `in_name`: within the name of a member."""
    if not isinstance(value, tuple) or isinstance(value, Extension):
        return _scalar_can_be_kept(value, in_name=in_name)
    if depth == MAX_DEPTH or (in_name and isinstance(value, Pairs)):
        return False
    if isinstance(value, Pairs):
        return all(
            msgpack_can_be_kept(name, depth + 1, in_name=True) and msgpack_can_be_kept(item, depth + 1)
            for name, item in value
        )
    return all(msgpack_can_be_kept(item, depth + 1, in_name=in_name) for item in value)


def _scalar_can_be_kept(value: Any, *, in_name: bool) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Extension):
        return value.code not in range(1, 9) and (value.code == TIMESTAMP or not in_name)
    return True
