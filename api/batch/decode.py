"""Request bodies: JSON or MessagePack in, checked requests out, or a problem that names the fault.

Values of a JSON body become Python objects and are encoded again; values of a MessagePack body are kept as the bytes
they came as, once they have been decoded to see that they are sound.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from api.batch.faulty_keys import too_deep_in_json, too_deep_in_msgpack
from api.batch.values import MAX_DEPTH, ValueNotKeptError, check_json, check_msgpack
from api.http.negotiation import Format
from api.http.problems import Kind, Problem, at


class WriteRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a write, as JSON."""

    data: dict[str, Any]


class RawWriteRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a write, its values left encoded."""

    data: dict[str, msgspec.Raw]


class KeysRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a read or a delete."""

    keys: list[str]


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"

T = TypeVar("T", WriteRequest, RawWriteRequest, KeysRequest)

_write_json = msgspec.json.Decoder(WriteRequest).decode
_write_json_raw = msgspec.json.Decoder(RawWriteRequest).decode
_write_msgpack = msgspec.msgpack.Decoder(RawWriteRequest).decode
_keys = {
    Format.JSON: msgspec.json.Decoder(KeysRequest).decode,
    Format.MSGPACK: msgspec.msgpack.Decoder(KeysRequest).decode,
}
_value_json = msgspec.json.Decoder().decode
_value_msgpack = msgspec.msgpack.Decoder().decode


def _refuse(error: Exception, body_format: Format, excess: Kind) -> NoReturn:
    """Raise the problem of a body; `excess` is its kind where a number is too large or the nesting too deep."""
    name = "JSON" if body_format is Format.JSON else "MessagePack"
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        detail, _, path = text.partition(" - at ")
        if detail.startswith(("Number out of range", "Integer value out of range")):
            raise Problem(excess, f"{detail} at {path}" if path else detail) from None
        raise Problem(Kind.INVALID_REQUEST, f"{detail}, at {path}" if path else detail) from None
    if isinstance(error, RecursionError):
        raise Problem(excess, f"the body is {_TOO_DEEP}") from None
    if isinstance(error, UnicodeDecodeError):
        raise Problem(Kind.MALFORMED_BODY, f"a text in the {name} body is not UTF-8: {error.reason}") from None
    raise Problem(Kind.MALFORMED_BODY, f"the body is not {name}: {error}") from None


def _decode(decode: Callable[[bytes], T], body: bytes, body_format: Format, excess: Kind = Kind.INVALID_REQUEST) -> T:
    if not body:
        raise Problem(Kind.MALFORMED_BODY, "the body is empty")
    try:
        return decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        _refuse(error, body_format, excess)


def invalid_value(key: str, detail: str) -> Problem:
    """A problem that names the key of a value that cannot be kept."""
    return at(Kind.INVALID_VALUE, f"the value of key {key!r} cannot be kept: {detail}", "data", key)


def _blame(body: bytes) -> None:
    """Name the key whose JSON value does not decode; returns if that is not what is wrong with the body."""
    try:
        raw = _write_json_raw(body)
    except RecursionError:
        key = too_deep_in_json(body)
        if key is not None:
            raise invalid_value(key, _TOO_DEEP) from None
        return
    except (msgspec.MsgspecError, ValueError):
        _blame_surrogate(body)
        return
    for key, value in raw.data.items():
        try:
            _value_json(value)
        except RecursionError:
            raise invalid_value(key, _TOO_DEEP) from None
        except UnicodeDecodeError as error:
            raise invalid_value(key, f"a text is not UTF-8: {error.reason}") from None
        except msgspec.MsgspecError as error:
            raise invalid_value(key, str(error)) from None


def _blame_surrogate(body: bytes) -> None:
    """Name the key with half of a surrogate pair; the standard library's parser lets those through, ours does not."""
    try:
        data = json.loads(body)["data"].items()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    for key, value in data:
        try:
            json.dumps((key, value), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            shown = key.encode("utf-8", "backslashreplace").decode()
            raise invalid_value(shown, "a text has a lone surrogate, which is no character") from None


def _decode_write_msgpack(body: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        data = _decode(_write_msgpack, body, Format.MSGPACK, Kind.INVALID_VALUE).data
    except Problem as problem:
        deep = too_deep_in_msgpack(body) if problem.kind is Kind.INVALID_VALUE else None
        if deep is not None:
            raise invalid_value(deep, _TOO_DEEP) from None
        raise
    for key, raw in data.items():
        try:
            check_msgpack(_value_msgpack(raw), memoryview(raw))
        except RecursionError:
            raise invalid_value(key, _TOO_DEEP) from None
        except UnicodeDecodeError as error:
            raise invalid_value(key, f"a text is not UTF-8: {error.reason}") from None
        except (ValueNotKeptError, msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
            raise invalid_value(key, str(error)) from None
    return data


def decode_write(body: bytes, body_format: Format) -> Mapping[str, Any]:
    """The data of a write: key to value for JSON, key to `msgspec.Raw` for MessagePack.

    Raises:
        Problem: 400, the body is malformed, not of the form expected, or has a value that cannot be kept.
    """
    if body_format is Format.MSGPACK:
        return _decode_write_msgpack(body)
    try:
        data = _write_json(body).data
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if body:
            _blame(body)
            _refuse(error, body_format, Kind.INVALID_VALUE)
        raise Problem(Kind.MALFORMED_BODY, "the body is empty") from None
    deep = check_json(data, body)
    if deep is not None:
        raise invalid_value(deep, _TOO_DEEP)
    return data


def decode_keys(body: bytes, body_format: Format) -> list[str]:
    """The keys of a read or a delete, each once, in order.

    Raises:
        Problem: 400, the body is malformed or not of the form expected.
    """
    return list(dict.fromkeys(_decode(_keys[body_format], body, body_format).keys))
