"""The binary body of a chunk, and of the answer to a read.

Both are little-endian 32-bit counts and lengths followed by MessagePack, laid out so that the storage can walk them
with pointers and never turns a value into an object of its own:

    body    count | count x length | entries
    answer  count | count x length | values        a length of 0: the key is not there

An entry of a write is the tuple to store, `[key, bucket_id, value]`. An entry of a read or a delete is the index
key `[key]` followed by the bucket id. Lengths travel because the storage must not parse values to find their ends.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec

MAX_CHUNK_KEYS = 1000
"""Keys in one chunk; a batch with more for one shard makes several chunks."""

MAX_CHUNK_BYTES = 256 * 1024
"""Entry bytes in one chunk, unless a single entry is larger than that."""

_U32 = struct.Struct("<I")
_LENGTHS = "I"

if array(_LENGTHS).itemsize != _U32.size or sys.byteorder != "little":  # pragma: no cover
    raise ImportError("tarant-kv needs a little-endian machine with 32-bit unsigned ints")


class ChunkError(ValueError):
    """Bytes that are not a body or an answer; the text says where they break."""


def encode_body(entries: Sequence[bytes]) -> bytes:
    """Lay `entries` out as the body of a chunk."""
    lengths = array(_LENGTHS, map(len, entries))
    return b"".join((_U32.pack(len(entries)), lengths.tobytes(), *entries))


def split(entries: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield `(start, end)` of the runs of `entries` that make one chunk each, in order."""
    count = len(entries)
    if count <= MAX_CHUNK_KEYS and sum(map(len, entries)) <= MAX_CHUNK_BYTES:
        yield 0, count
        return
    start = size = 0
    for position, entry in enumerate(entries):
        if position > start and (position - start == MAX_CHUNK_KEYS or size + len(entry) > MAX_CHUNK_BYTES):
            yield start, position
            start, size = position, 0
        size += len(entry)
    yield start, count


def head_size(count: int) -> int:
    """Bytes before the first of `count` entries or values."""
    return _U32.size * (count + 1)


def split_lengths(blob: bytes) -> tuple[array[int], int]:
    """Read the head of a body or an answer: the lengths, and the offset at which what they measure begins.

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
    """Decode the answer of a read: the lengths (0: not there), and the values of the keys that are there, in order.

    All values are decoded in one call, as one array.

    Raises:
        ChunkError: the blob is not the answer of a read.
    """
    lengths, start = split_lengths(blob)
    found = len(lengths) - lengths.count(0)
    try:
        return lengths, decoder.decode(array_header(found) + memoryview(blob)[start:])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ChunkError(f"a value does not decode: {error}") from error


def slice_values(blob: bytes) -> list[bytes | None]:
    """Cut the answer of a read into its encoded values; None where the key is not there."""
    lengths, start = split_lengths(blob)
    ends = accumulate(lengths, initial=start)
    next(ends)
    return [blob[end - length : end] if length else None for length, end in zip(lengths, ends, strict=True)]
