"""The data of a write in MessagePack. Values are checked and then stored with the bytes in which they were sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from api.batch.bodies import Beside, WriteBody, beside
from api.batch.counted_names import Name, name_counter
from api.batch.faulty_keys import too_deep_in_msgpack
from api.batch.msgpack_values import in_doubt
from api.batch.msgpack_walk import walk
from api.batch.refused_body import TOO_DEEP, empty_body, invalid_value, refuse, too_large
from api.batch.steps import STEP_BYTES, Steps, at_once
from api.batch.values import ValueNotKeptError
from api.http.negotiation import Format
from api.http.problems import Kind
from protocol.settings import BatchSettings

_members = msgspec.msgpack.Decoder(WriteBody[str, msgspec.Raw]).decode


def decode_msgpack_write(body: bytes) -> tuple[Mapping[str, msgspec.Raw], Beside]:
    """The data of a small write, key to encoded value, and the other members.

    Raises:
        Problem: 400, the body is malformed, does not have the expected form, or has a value that cannot be stored.
    """
    try:
        request = _members(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        at_once(_refuse(body, error))
    data = request.data
    values = list(data.values())
    if values and (doubtful := in_doubt(values)):
        at_once(_walk(list(data), values, doubtful))
    return data, beside(request)


def decode_large_msgpack_write(body: bytes, limits: BatchSettings) -> Steps[tuple[Mapping[str, msgspec.Raw], Beside]]:
    """The same for a body of any size."""
    decode = msgspec.msgpack.Decoder(WriteBody[Name, msgspec.Raw], dec_hook=name_counter("data", limits)).decode
    try:
        request = decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        yield from _refuse(body, error)
    yield
    data: Mapping[Any, msgspec.Raw] = request.data
    keys: list[str] = []
    values: list[msgspec.Raw] = []
    size = 0
    for key, value in data.items():
        length = memoryview(value).nbytes
        if length > limits.max_value_bytes:
            raise too_large(key, length, limits.max_value_bytes)
        keys.append(key)
        values.append(value)
        size += length
        if size >= STEP_BYTES:
            yield from _walk(keys, values, in_doubt(values))
            yield
            keys, values, size = [], [], 0
    yield from _walk(keys, values, in_doubt(values))
    return data, beside(request)


def check_msgpack(key: str, value: msgspec.Raw) -> Steps[None]:
    """Check that an encoded value can be stored.

    Raises:
        Problem: 400, it cannot; the problem names `key`.
    """
    yield from _walk([key], [value], in_doubt([value]))


def _refuse(body: bytes, error: Exception) -> Steps[NoReturn]:
    if not body:
        raise empty_body()
    if isinstance(error, RecursionError):
        deep = yield from too_deep_in_msgpack(body)
        if deep is not None:
            raise invalid_value(deep, TOO_DEEP)
    refuse(error, Format.MSGPACK, Kind.INVALID_VALUE)


def _walk(keys: Sequence[str], values: Sequence[msgspec.Raw], positions: Sequence[int]) -> Steps[None]:
    """Check the values at some positions byte by byte."""
    for position in positions:
        try:
            yield from walk(bytes(values[position]))
        except ValueNotKeptError as error:
            raise invalid_value(keys[position], str(error)) from None
