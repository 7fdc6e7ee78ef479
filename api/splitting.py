"""Splits a batch: every key to its bucket and shard, every pair to the entry that the storage takes.

This is the api's hottest loop, some thousand rounds a request; what can be looked up or done in C is not computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from google_crc32c import value as crc32c

from api.bodies import invalid_value
from api.problems import Kind, Problem, at
from protocol.buckets import ShardMap, bucket_of
from protocol.chunks import split
from protocol.settings import BatchSettings

_ALL_ONES = 0xFFFFFFFF
_TUPLE_HEAD = b"\x93"

_encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Part:
    """What goes to one shard in one chunk: keys, and the entry of each."""

    shard: str
    keys: list[str]
    entries: list[bytes]


class Groups:
    """Keys and entries by shard."""

    __slots__ = ("_entries", "_keys", "_map")

    def __init__(self, shard_map: ShardMap) -> None:
        self._map = shard_map
        self._keys: list[list[str]] = [[] for _ in shard_map.shards]
        self._entries: list[list[bytes]] = [[] for _ in shard_map.shards]

    def parts(self) -> Iterator[Part]:
        """The parts of the batch, each within the size of a chunk."""
        for shard, keys, entries in zip(self._map.shards, self._keys, self._entries, strict=True):
            if entries:
                for start, end in split(entries):
                    yield Part(shard, keys[start:end], entries[start:end])

    def add_values(self, data: Mapping[str, Any], settings: BatchSettings) -> None:
        """Add pairs of key and value.

        Raises:
            Problem: 400, a key or a value cannot be stored.
        """
        names = [key.encode() for key in data]
        _check_names(names, settings.max_key_bytes, lambda position: ("data", list(data)[position]))
        buckets = self._buckets(names)
        try:
            entries = [
                _encode((key, bucket, value)) for (key, value), bucket in zip(data.items(), buckets, strict=True)
            ]
        except OverflowError:
            raise _overflow(data) from None
        if max(map(len, entries)) > settings.max_value_bytes:
            for key, value in data.items():
                _check_size(key, len(_encode(value)), settings.max_value_bytes)
        self._distribute(data, buckets, entries)

    def add_encoded(self, data: Mapping[str, msgspec.Raw], settings: BatchSettings) -> None:
        """Add pairs of key and encoded value; otherwise as `add_values`."""
        names = [key.encode() for key in data]
        _check_names(names, settings.max_key_bytes, lambda position: ("data", list(data)[position]))
        for key, value in data.items():
            _check_size(key, len(memoryview(value)), settings.max_value_bytes)
        buckets = self._buckets(names)
        encoded = bucket_encodings(self._map.bucket_count)
        entries = [
            b"".join((_TUPLE_HEAD, _encode(key), encoded[bucket], value))
            for (key, value), bucket in zip(data.items(), buckets, strict=True)
        ]
        self._distribute(data, buckets, entries)

    def add_keys(self, keys: Sequence[str], settings: BatchSettings) -> None:
        """Add keys to read or delete.

        Raises:
            Problem: 400, a key cannot be one.
        """
        names = [key.encode() for key in keys]
        _check_names(names, settings.max_key_bytes, lambda position: ("keys", position))
        buckets = self._buckets(names)
        encoded = bucket_encodings(self._map.bucket_count)
        entries = [_encode((key,)) + encoded[bucket] for key, bucket in zip(keys, buckets, strict=True)]
        self._distribute(keys, buckets, entries)

    def _buckets(self, names: Sequence[bytes]) -> list[int]:
        # `bucket_of` for many: one list after the other, since a loop that calls it takes half as long again.
        count = self._map.bucket_count
        return [(hashed ^ _ALL_ONES) % count + 1 for hashed in map(crc32c, names)]

    def _distribute(self, keys: Iterable[str], buckets: Sequence[int], entries: Sequence[bytes]) -> None:
        owners, all_keys, all_entries = self._map.owners, self._keys, self._entries
        for key, bucket, entry in zip(keys, buckets, entries, strict=True):
            owner = owners[bucket]
            all_keys[owner].append(key)
            all_entries[owner].append(entry)

    def add_part(self, part: Part) -> None:
        """Add the keys of a part made with another map."""
        for key, entry in zip(part.keys, part.entries, strict=True):
            owner = self._map.owners[bucket_of(key.encode(), self._map.bucket_count)]
            self._keys[owner].append(key)
            self._entries[owner].append(entry)


def check_count(count: int, member: str, settings: BatchSettings) -> None:
    """Check the number of keys in a batch.

    Raises:
        Problem: 400, there are none, or too many.
    """
    if not count:
        raise at(Kind.EMPTY_BATCH, f"{member!r} is empty", member)
    if count > settings.max_batch_keys:
        raise at(Kind.TOO_MANY_KEYS, f"{count} keys, {settings.max_batch_keys} are allowed in a batch", member)


@cache
def bucket_encodings(bucket_count: int) -> tuple[bytes, ...]:
    """The MessagePack of every bucket number, by bucket."""
    return tuple(map(_encode, range(bucket_count + 1)))


def _check_names(names: Sequence[bytes], max_key: int, place: Callable[[int], tuple[str | int, ...]]) -> None:
    if max(map(len, names)) <= max_key and all(names):
        return
    position = next(position for position, name in enumerate(names) if not 0 < len(name) <= max_key)
    fault = f"a key has {len(names[position])} bytes, 1 to {max_key} are allowed"
    raise at(Kind.INVALID_KEY, fault, *place(position))


def _overflow(data: Mapping[str, Any]) -> Problem:
    for key, value in data.items():
        try:
            _encode(value)
        except OverflowError:
            return invalid_value(key, "an integer is outside [-2^63, 2^64)")
    raise AssertionError("no value overflows")


def _check_size(key: str, size: int, max_value: int) -> None:
    if size > max_value:
        raise invalid_value(key, f"it has {size} bytes as MessagePack, {max_value} are allowed")
