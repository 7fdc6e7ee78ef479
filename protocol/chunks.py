"""The bodies of chunks, and the answer to a read.

A body is MessagePack, in the order in which the shard reads it with pointers. One call of the encoder makes it:

    write           [[key, bucket_id, value], ...]      an entry may have an expiry as its fourth element
    read, delete    [[key, ...], [bucket_id, ...]]

`protocol.rows` makes these, and the bodies of the other operations on keys.

The shard makes an answer without turning values into objects. Counts and lengths are little-endian and have 32 bits:

    answer  count | count x length | values             a length of 0: the key is not there
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec

MAX_CHUNK_KEYS = 1000
"""Keys in one chunk; a batch with more keys for one shard makes several chunks."""

MAX_CHUNK_BYTES = 256 * 1024
"""Bytes in the body of one chunk, unless a single entry is larger."""

_U32 = struct.Struct("<I")
_LENGTHS = "I"

_encode = msgspec.msgpack.Encoder().encode

if array(_LENGTHS).itemsize != _U32.size or sys.byteorder != "little":  # pragma: no cover
    raise ImportError("tarant-kv needs a little-endian machine with 32-bit unsigned ints")


class ChunkError(ValueError):
    """The bytes are not an answer; the text says where they are wrong."""


Row = tuple[str, int, Any]
"""Key, bucket id and value of a write; a value may be `msgspec.Raw`, which is MessagePack already."""

Cut = tuple[int, int, bytes]
"""The first key of a chunk and the key after its last, as positions in the batch, and the chunk's body."""


def write_bodies(rows: Sequence[Row]) -> Sequence[Cut]:
    """Make the bodies of the chunks that write `rows`, in order; at least one.

    Raises:
        OverflowError: a value contains an integer that MessagePack cannot encode.
    """
    count = len(rows)
    if count <= MAX_CHUNK_KEYS and (len(body := _encode(rows)) <= MAX_CHUNK_BYTES or count == 1):
        return ((0, count, body),)
    return list(cut(lambda start, end: _encode(rows[start:end]), count))


def key_bodies(keys: Sequence[str], buckets: Sequence[int]) -> Sequence[Cut]:
    """Make the bodies of the chunks that read or delete `keys`, in order; at least one."""
    count = len(keys)
    if count <= MAX_CHUNK_KEYS and len(body := _encode((keys, buckets))) <= MAX_CHUNK_BYTES:
        return ((0, count, body),)
    return list(cut(lambda start, end: _encode((keys[start:end], buckets[start:end])), count))


def cut(encode: Callable[[int, int], bytes], count: int) -> Iterator[Cut]:
    """Cut a batch of `count` keys into the bodies of chunks; `encode(start, end)` makes the body of a piece."""
    return _cut(encode, 0, count)


def _cut(encode: Callable[[int, int], bytes], start: int, end: int) -> Iterator[Cut]:
    """Cut into pieces with the same number of keys each; pieces that are still too large are cut again."""
    count = end - start
    body = encode(start, end) if count <= MAX_CHUNK_KEYS else b""
    if count == 1 or (body and len(body) <= MAX_CHUNK_BYTES):
        yield start, end, body
        return
    pieces = min(count, max(-(-count // MAX_CHUNK_KEYS), -(-len(body) // MAX_CHUNK_BYTES)))
    for edges in pairwise(start + count * piece // pieces for piece in range(pieces + 1)):
        yield from _cut(encode, *edges)


def answer_of(values: Sequence[msgspec.Raw | None]) -> bytes:
    """The answer to a read with these encoded values; None if a key is absent."""
    lengths = array(_LENGTHS, [0 if value is None else memoryview(value).nbytes for value in values])
    return b"".join((_U32.pack(len(values)), lengths.tobytes(), *(value for value in values if value is not None)))


def head_size(count: int) -> int:
    """Bytes before the first of `count` values."""
    return _U32.size * (count + 1)


def split_lengths(blob: bytes) -> tuple[array[int], int]:
    """Read the head of an answer: the lengths, and the offset at which the values begin.

    Raises:
        ChunkError: the blob is too short, or the lengths do not add up to its size.
    """
    if len(blob) < _U32.size:
        raise ChunkError(f"{len(blob)} bytes are too few for a count")
    (count,) = _U32.unpack_from(blob)
    start = head_size(count)
    if start > len(blob):
        raise ChunkError(f"{len(blob)} bytes are too few for {count} lengths")
    lengths = array(_LENGTHS)
    lengths.frombytes(memoryview(blob)[_U32.size : start])
    if start + sum(lengths) != len(blob):
        raise ChunkError(f"the lengths add up to {sum(lengths)} bytes, {len(blob) - start} follow")
    return lengths, start


def array_header(count: int) -> bytes:
    """The MessagePack header of an array of `count` elements."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return struct.pack(">BH", 0xDC, count)
    return struct.pack(">BI", 0xDD, count)


def map_header(count: int) -> bytes:
    """The MessagePack header of a map of `count` pairs."""
    if count < 16:
        return bytes((0x80 | count,))
    if count < 1 << 16:
        return struct.pack(">BH", 0xDE, count)
    return struct.pack(">BI", 0xDF, count)


def decode_values(blob: bytes, decoder: msgspec.msgpack.Decoder[list[object]]) -> tuple[array[int], list[object]]:
    """Decode the answer to a read: the lengths (0: absent), and the values of the keys that exist, in order.

    All values are decoded in one call, as one array.

    Raises:
        ChunkError: the blob is not an answer to a read.
    """
    lengths, start = split_lengths(blob)
    found = len(lengths) - lengths.count(0)
    try:
        return lengths, decoder.decode(array_header(found) + memoryview(blob)[start:])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ChunkError(f"a value does not decode: {error}") from error


def slice_values(blob: bytes) -> list[bytes | None]:
    """Cut the answer to a read into its encoded values; None if the key is absent."""
    lengths, start = split_lengths(blob)
    ends = accumulate(lengths, initial=start)
    next(ends)
    return [blob[end - length : end] if length else None for length, end in zip(lengths, ends, strict=True)]
