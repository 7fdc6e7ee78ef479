"""The data of a write in JSON. Values are decoded to Python objects here, and encoded as MessagePack.

msgspec is exact, but takes 10 us for some numbers, such as `1e290`. If a body may have many of those, orjson reads it;
orjson turns integers beyond 64 bits into floats. If a body may have such integers, or if orjson refuses it, msgspec
reads it again, and Python parses the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeVar

import msgspec
import orjson

from api.batch.bodies import NOTHING, Beside, WriteBody, beside
from api.batch.counted_names import Name, name_counter
from api.batch.faulty_keys import lone_surrogate, too_deep_in_json
from api.batch.limits import encoded_value
from api.batch.refused_body import TOO_DEEP, empty_body, invalid_value, refuse, too_large
from api.batch.steps import STEP_BYTES, Steps, at_once
from api.batch.values import may_be_deep, survey, too_deep
from api.http.negotiation import Format
from api.http.problems import Kind
from protocol.settings import BatchSettings

K = TypeVar("K")
V = TypeVar("V")

FEW_BYTES = 2 * 1024 * 1024
FEW_ELEMENTS = 64 * 1024
"""A body with no more bytes and elements is decoded as a whole. That makes as many objects at most, in 10 to 20 ms."""

SHORT = 4096
"""Up to this size of a body even the slowest numbers take only some milliseconds."""

LARGE_VALUE = 64 * 1024
"""A value of this size in bytes takes steps of its own."""

_NO_ELEMENTS = bytes(set(range(256)) - set(b",[{"))

_SHAPE = bytes.maketrans(b"0123456789[,:\t\r\n", b"0000000000      ")
_NINETEEN_DIGITS = b"0" * 19
_HUGE = b" 0" + _NINETEEN_DIGITS, b"-" + _NINETEEN_DIGITS


_SIMPLE = frozenset((str, int, bool, type(None)))
"""Types of values that need no conversion."""


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("Number out of range")
    return number


_write = msgspec.json.Decoder(WriteBody[str, Any]).decode
_write_slowly = msgspec.json.Decoder(WriteBody[str, Any], float_hook=_finite).decode
_value = msgspec.json.Decoder(float_hook=_finite).decode
_members = msgspec.json.Decoder(WriteBody[str, msgspec.Raw]).decode


def decode_json_write(body: bytes) -> tuple[Mapping[str, Any], Beside]:
    """The data of a small write, key to value, and the other members. Integers may still be outside [-2^63, 2^64).

    Raises:
        Problem: 400, the body is malformed, does not have the expected form, or has a value that cannot be stored.
    """
    exact = _has_few_exponents(body)
    try:
        data, more = _members_of(_write(body)) if exact else (_fast(body), NOTHING)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        (data, more), exact = _decode_again(body), True
    if _SIMPLE.issuperset(map(type, data.values())) or (exact and not may_be_deep(body)):
        return data, more
    deep, floats = survey(data.values())
    if deep:
        raise invalid_value(next(key for key, value in data.items() if too_deep(value)), TOO_DEEP)
    return _decode_again(body) if floats and not exact and _may_have_huge_integers(body) else (data, more)


def _members_of(body: WriteBody[K, V]) -> tuple[Mapping[K, V], Beside]:
    return body.data, beside(body)


def _has_few_exponents(body: bytes) -> bool:
    """Whether msgspec reads all numbers of a body fast. If `e` is frequent at the beginning, the rest is not
    counted.
    """
    if len(body) <= SHORT:
        return True
    begin = body[:SHORT]
    if begin.count(b"e") + begin.count(b"E") > SHORT // 100:
        return False
    return body.count(b"e") + body.count(b"E") <= SHORT // 4


def _fast(body: bytes) -> Mapping[str, Any]:
    """The data as orjson reads it; raises ValueError if the body has more members than `data`, or none."""
    document = orjson.loads(body)
    data: Any = document.get("data") if type(document) is dict and len(document) == 1 else None
    if type(data) is not dict:
        raise ValueError
    return data


def _decode_again(body: bytes) -> tuple[Mapping[str, Any], Beside]:
    if not body:
        raise empty_body()
    try:
        return _members_of(_write_slowly(body))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        at_once(_blame(body))
        refuse(error, Format.JSON, Kind.INVALID_VALUE)


def _may_have_huge_integers(text: bytes) -> bool:
    """Whether a JSON text may have an integer outside [-2^63, 2^64): one with that many digits and no point before
    them.
    """
    shape = text.translate(_SHAPE)
    if _NINETEEN_DIGITS not in shape:
        return False
    return any(digits in shape for digits in _HUGE) or shape.startswith(_NINETEEN_DIGITS)


def has_few_elements(body: bytes) -> bool:
    """Whether `decode_json_write` makes so few objects of a body that it takes no longer than for a small one."""
    if len(body) <= 4 * FEW_ELEMENTS:
        # An element takes three bytes, or two if it is a number of one digit.
        return True
    return len(body) <= FEW_BYTES and len(body.translate(None, _NO_ELEMENTS)) <= FEW_ELEMENTS


def decode_large_json_write(body: bytes, limits: BatchSettings) -> Steps[tuple[Mapping[str, msgspec.Raw], Beside]]:
    """The data of a write, key to value in MessagePack, completely checked; and the other members."""
    decode = msgspec.json.Decoder(WriteBody[Name, msgspec.Raw], dec_hook=name_counter("data", limits)).decode
    members: Mapping[Any, msgspec.Raw]
    try:
        members, more = _members_of(decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        yield
        yield from _blame_form(body, error)
        refuse(error, Format.JSON, Kind.INVALID_VALUE)
    yield
    suspicious = _may_have_huge_integers(body)
    yield
    encoded: dict[str, msgspec.Raw] = {}
    done = 0
    for key, raw in members.items():
        text = bytes(raw)
        encoded[key] = msgspec.Raw((yield from _encoded(key, text, limits.max_value_bytes, suspicious=suspicious)))
        done += len(text)
        if done >= STEP_BYTES:
            done = 0
            yield
    return encoded, more


def encoded_json(key: str, text: bytes, max_size: int) -> Steps[bytes]:
    """The MessagePack of a value in JSON.

    Raises:
        Problem: 400, the text is malformed or its value cannot be stored; the problem names `key`.
    """
    return (yield from _encoded(key, text, max_size, suspicious=_may_have_huge_integers(text)))


def _encoded(key: str, text: bytes, max_size: int, *, suspicious: bool) -> Steps[bytes]:
    """A value as MessagePack. A value that is too large is not decoded, if a count shows it."""
    large = len(text) > LARGE_VALUE
    if large:
        # Each of these characters, inside a text or not, takes a byte or more of the encoded value.
        if max(text.count(b","), text.count(b"[") + text.count(b"{")) > max_size:
            raise too_large(key, f"more than {max_size}", max_size)
        yield
    try:
        value = orjson.loads(text)
    except ValueError:
        value = _decoded(key, text)
    if large:
        yield
    deep, floats = survey((value,))
    if deep:
        raise invalid_value(key, TOO_DEEP)
    if large:
        yield
    if floats and suspicious and _may_have_huge_integers(text):
        value = _decoded(key, text)
    return encoded_value(key, value, max_size)


def _decoded(key: str, text: bytes) -> Any:
    try:
        return _value(text)
    except RecursionError:
        raise invalid_value(key, TOO_DEEP) from None
    except UnicodeDecodeError as error:
        raise invalid_value(key, f"a text is not UTF-8: {error.reason}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise invalid_value(key, str(error)) from None


def _blame(body: bytes) -> Steps[None]:
    """Name the key whose value does not decode; returns if a small body has another fault."""
    try:
        members = _members(body).data
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        yield from _blame_form(body, error)
        return
    for key, raw in members.items():
        _decoded(key, bytes(raw))


def _blame_form(body: bytes, error: Exception) -> Steps[None]:
    """Name the key after which the members of a body cannot be separated; returns if there is none."""
    if isinstance(error, RecursionError):
        key = yield from too_deep_in_json(body)
        if key is not None:
            raise invalid_value(key, TOO_DEEP)
        return
    key = yield from lone_surrogate(body, error, lambda text: _members(text).data)
    if key is not None:
        raise invalid_value(key, "a text has a lone surrogate, which is no character")
