"""The body of a SCAN, and a shard's answer: a piece of a range of keys, in order.

    body      [lower or nil, lower_included, upper or nil, upper_included, reverse, limit, values, max_bytes,
               first_bucket, last_bucket]
    payload   [state, wait_us, [[first, last], ...], position or nil, [tuple, ...]]

Bounds and positions are bytes, in the order of UTF-8, which is that of the shards' trees. A tuple is as stored; its
value is nil if no values are asked for.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypeAlias

import msgspec

from protocol.chunks import ChunkError

MAX_LOOKED_AT = 1000
"""Keys that a shard examines for one chunk, at most."""

MAX_BYTES = 256 * 1024
"""Bytes of tuples that one chunk asks for; a single tuple may be larger."""

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Ranges of buckets, both ends included."""


class State(IntEnum):
    """How a shard has answered."""

    DONE = 0
    """No key is left within the bounds."""
    MORE = 1
    """There may be more keys after the position."""
    NOT_NOW = 2
    """The shard examined nothing: scans have had their share of its time."""


class Asked(NamedTuple):
    """The arguments of one SCAN."""

    lower: bytes | None
    lower_included: bool
    upper: bytes | None
    upper_included: bool
    reverse: bool
    limit: int
    values: bool
    max_bytes: int
    first_bucket: int
    last_bucket: int

    def body(self) -> bytes:
        """The body of the chunk."""
        lower, upper = (msgspec.Raw(_text(bound)) for bound in (self.lower, self.upper))
        return _encode((lower, self.lower_included, upper, *self[3:]))


class Item(msgspec.Struct, array_like=True, gc=False):
    """A stored tuple. `value` is encoded; tuples of earlier versions have version 0 and no expiry."""

    key: str
    bucket: int
    value: msgspec.Raw
    version: int = 0
    expires_ms: int | None = None


class Piece(NamedTuple):
    """The answer of a shard. `position` is the last key that it examined, if there may be more after it."""

    state: int
    wait_s: float
    ranges: Ranges
    position: bytes | None
    items: list[Item]


_encode = msgspec.msgpack.Encoder().encode
_pieces = msgspec.msgpack.Decoder(tuple[int, int, Ranges, msgspec.Raw, list[Item]])
_raw_pieces = msgspec.msgpack.Decoder(tuple[int, int, Ranges, msgspec.Raw, list[msgspec.Raw]])
_items = msgspec.msgpack.Decoder(Item)
_raw_items = msgspec.msgpack.Decoder(list[msgspec.Raw])
_NIL = b"\xc0"


def decode_piece(payload: bytes) -> Piece:
    """Decode the answer to a SCAN. Keys that are not UTF-8 are left out, because no client can name them.

    Raises:
        ChunkError: it is not an answer to a SCAN.
    """
    try:
        try:
            state, wait_us, ranges, position, items = _pieces.decode(payload)
        except (msgspec.ValidationError, UnicodeDecodeError):
            state, wait_us, ranges, position, tuples = _raw_pieces.decode(payload)
            items = [_items.decode(each) for each in tuples if _is_utf_8(_raw_items.decode(each)[0])]
        piece = Piece(state, wait_us / 1_000_000, ranges, _bytes(bytes(position)), items)
    except (msgspec.MsgspecError, ValueError, IndexError, RecursionError) as error:
        raise ChunkError(f"the answer of a scan does not decode: {error}") from error
    if piece.state == State.MORE and piece.position is None:
        raise ChunkError("the answer of a scan does not say where to go on")
    return piece


def _is_utf_8(key: msgspec.Raw) -> bool:
    try:
        (_bytes(bytes(key)) or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(text: bytes | None) -> bytes:
    """Encode bytes as a MessagePack text, whether they are UTF-8 or not; None as nil."""
    if text is None:
        return _NIL
    size = len(text)
    if size < 32:
        return bytes((0xA0 | size,)) + text
    if size < 1 << 8:
        return b"\xd9" + size.to_bytes(1, "big") + text
    if size < 1 << 16:
        return b"\xda" + size.to_bytes(2, "big") + text
    return b"\xdb" + size.to_bytes(4, "big") + text


def _bytes(text: bytes) -> bytes | None:
    """The bytes of a MessagePack text; None for nil."""
    if text == _NIL:
        return None
    head = {0xD9: 2, 0xDA: 3, 0xDB: 5}.get(text[0], 1 if 0xA0 <= text[0] <= 0xBF else 0)
    if not head:
        raise ValueError("a key is no text")
    return text[head:]
