"""The bodies and payloads of the operations on keys besides write, read and delete. All of them are MessagePack.

    UPDATE         [[row, ...], [condition, ...]]              payload  [version, [[position, current], ...]]
    DELETE_IF      [[key, ...], [bucket, ...], [condition, ...]]        [deleted, [[position, current], ...]]
    INCREMENT      [[key, bucket, delta, initial, min, max, expiry, always], ...]
                                                                        [[value or nil, ...], [[position, code], ...]]
    TOUCH          [[key, ...], [bucket, ...], [expiry or nil, ...]]    [position, ...]
    READ_TUPLES    [[key, ...], [bucket, ...]]                          [tuple or nil, ...]

Rows are those of `protocol.chunks`, and so are expiries. Positions count from 0 in the chunk. A condition is None for
none, False where the key must be absent, True where it must be present, and otherwise the version that it must have.
`current` is the version that the key has instead, None where it is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from protocol.chunks import ChunkError, Cut, Row, cut

NO_VERSION = 2**64 - 1
"""A version that no key ever has."""

OUT_OF_BOUNDS, NOT_A_NUMBER, OUT_OF_RANGE = 1, 2, 3
"""Why an increment was refused."""

Condition = bool | int | None


class Increment(NamedTuple):
    """What is added to one counter. `expiry` counts where the key is made, and always with `always`."""

    key: str
    bucket: int
    delta: int
    initial: int
    least: int | None
    most: int | None
    expiry: int | None
    always: bool


class Updated(NamedTuple):
    """The payload of an update: the version of all entries but the failed ones, and what those keys have instead."""

    version: int
    failed: list[tuple[int, int | None]]


class Deleted(NamedTuple):
    """The payload of a delete with conditions."""

    deleted: int
    failed: list[tuple[int, int | None]]


class Incremented(NamedTuple):
    """The payload of an increment: a value for each entry, and for the failed ones a position and a code."""

    values: list[int | None]
    failed: list[tuple[int, int]]


class Stored(msgspec.Struct, array_like=True, frozen=True):
    """A stored tuple. `version` is 0 for one of before there were versions; `expires` is Unix time in ms, 0 never."""

    key: str
    bucket: int
    value: msgspec.Raw
    version: int = 0
    expires: int = 0


_encode = msgspec.msgpack.Encoder().encode
_updated = msgspec.msgpack.Decoder(Updated)
_deleted = msgspec.msgpack.Decoder(Deleted)
_incremented = msgspec.msgpack.Decoder(Incremented)
_touched = msgspec.msgpack.Decoder(list[int])
_stored = msgspec.msgpack.Decoder(list[Stored | None])


def update_bodies(rows: Sequence[Row], conditions: Sequence[Condition]) -> Sequence[Cut]:
    """The bodies of the chunks that write `rows` under their conditions, in order.

    Raises:
        OverflowError: a value holds an integer that MessagePack has no form for.
    """
    return list(cut(lambda start, end: _encode((rows[start:end], conditions[start:end])), len(rows)))


def listed_bodies(keys: Sequence[str], buckets: Sequence[int], third: Sequence[Condition]) -> Sequence[Cut]:
    """The bodies of the chunks that delete under conditions, or touch; `third` are the conditions or the expiries."""
    return list(cut(lambda start, end: _encode((keys[start:end], buckets[start:end], third[start:end])), len(keys)))


def increment_bodies(increments: Sequence[Increment]) -> Sequence[Cut]:
    """The bodies of the chunks that increment, in order."""
    return list(cut(lambda start, end: _encode(increments[start:end]), len(increments)))


T = TypeVar("T")


def _decode(decoder: msgspec.msgpack.Decoder[T], payload: Any) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise ChunkError(f"a payload does not decode: {error}") from error


def updated(payload: bytes) -> Updated:
    """Decode the payload of an update; raises ChunkError."""
    return _decode(_updated, payload)


def deleted(payload: bytes) -> Deleted:
    """Decode the payload of a delete with conditions; raises ChunkError."""
    return _decode(_deleted, payload)


def incremented(payload: bytes) -> Incremented:
    """Decode the payload of an increment; raises ChunkError."""
    return _decode(_incremented, payload)


def not_touched(payload: bytes) -> list[int]:
    """Decode the payload of a touch, the positions of the keys that were not there; raises ChunkError."""
    return _decode(_touched, payload)


def stored(payload: bytes) -> list[Stored | None]:
    """Decode the payload of a read of tuples: one for each key, None where it is not there; raises ChunkError."""
    return _decode(_stored, payload)
