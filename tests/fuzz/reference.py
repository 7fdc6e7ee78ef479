"""What bodies mean according to other libraries than the product's: Python's own JSON, and msgpack."""

import json
from typing import Any, NoReturn

import msgpack
from hypothesis import strategies as st

MAX_DEPTH = 128

texts = st.text(max_size=12) | st.text(st.characters(codec=None, categories=["Cs", "Lu", "Cc"]), max_size=4)
"""Lone surrogates and control characters among them."""

integers = (
    st.integers() | st.integers(-(2**65), 2**65) | st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
)
scalars = st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
"""Anything that `json` can write, also what cannot be kept."""


class NoJsonError(ValueError):
    """Not JSON, or a number in it that is no double."""


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
    return msgpack.unpackb(body, strict_map_key=False, object_pairs_hook=Pairs, use_list=False)


class Pairs(tuple[tuple[Any, Any], ...]):
    """A map of MessagePack: its members in order."""

    __slots__ = ()


def can_be_kept(value: Any, depth: int = 0) -> bool:
    """Whether a decoded JSON value is one that the API promises to keep."""
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
