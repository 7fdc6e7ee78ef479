"""The bodies and payloads of the operations on keys except write, read and delete. All of them are MessagePack.

    UPDATE         [[row, ...], [condition, ...]]              payload  [version, [[position, current], ...]]
    DELETE_IF      [[key, ...], [bucket, ...], [condition, ...]]        [deleted, [[position, current], ...]]
    INCREMENT      [[key, bucket, delta, initial, min, max, expiry, always], ...]
                                                                        [[value or nil, ...], [[position, code], ...]]
    TOUCH          [[key, ...], [bucket, ...], [expiry or nil, ...]]    [position, ...]
    READ_TUPLES    [[key, ...], [bucket, ...]]                          [tuple or nil, ...]

Rows and expiries are those of `protocol.rows`, which makes the bodies. Positions count from 0 in the chunk. A condition
is None for no condition, False if the key must be absent, True if it must be present, and otherwise the version that it
must have. `current` is the version that the key has instead, None if it is absent.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import msgspec

from protocol.chunks import ChunkError

NO_VERSION = 2**64 - 1
"""A version that no key ever has."""

OUT_OF_BOUNDS, NOT_A_NUMBER, OUT_OF_RANGE = 1, 2, 3
"""Why the shard did not apply an increment."""

Condition = bool | int | None


class Updated(NamedTuple):
    """The payload of an update: the version of all applied entries, and what the keys of the failed ones have
    instead.
    """

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
    """A stored tuple. `version` is 0 if it was stored before there were versions; `expires` is Unix time in ms, 0
    never.
    """

    key: str
    bucket: int
    value: msgspec.Raw
    version: int = 0
    expires: int = 0


_updated = msgspec.msgpack.Decoder(Updated)
_deleted = msgspec.msgpack.Decoder(Deleted)
_incremented = msgspec.msgpack.Decoder(Incremented)
_touched = msgspec.msgpack.Decoder(list[int])
_stored = msgspec.msgpack.Decoder(list[Stored | None])


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
    """Decode the payload of a touch, the positions of the keys that were absent; raises ChunkError."""
    return _decode(_touched, payload)


def stored(payload: bytes) -> list[Stored | None]:
    """Decode the payload of a read of tuples: one for each key, None if it is absent; raises ChunkError."""
    return _decode(_stored, payload)
