"""Splits a batch: every key to its bucket and shard, every pair to the entry that the storage takes.

This is the api's hottest loop, some thousand rounds a request; what can be looked up or done in C is not computed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
_KEY_HEAD = b"\x91"

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
        count, owners, all_keys, all_entries = self._map.bucket_count, self._map.owners, self._keys, self._entries
        max_value, max_key = settings.max_value_bytes, settings.max_key_bytes
        for key, value in data.items():
            name = key.encode()
            bucket = (crc32c(name) ^ _ALL_ONES) % count + 1
            try:
                entry = _encode((key, bucket, value))
            except OverflowError:
                raise invalid_value(key, "an integer is outside [-2^63, 2^64)") from None
            if not 0 < len(name) <= max_key:
                raise _bad_key(key, name, max_key)
            if len(entry) > max_value:
                _check_size(key, len(_encode(value)), max_value)
            owner = owners[bucket]
            all_keys[owner].append(key)
            all_entries[owner].append(entry)

    def add_encoded(self, data: Mapping[str, msgspec.Raw], settings: BatchSettings) -> None:
        """Add pairs of key and encoded value; otherwise as `add_values`."""
        for key, value in data.items():
            name = _name(key, settings.max_key_bytes)
            _check_size(key, len(memoryview(value)), settings.max_value_bytes)
            bucket = bucket_of(name, self._map.bucket_count)
            owner = self._map.owners[bucket]
            self._keys[owner].append(key)
            self._entries[owner].append(b"".join((_TUPLE_HEAD, _encode(key), _encode(bucket), value)))

    def add_keys(self, keys: Sequence[str], settings: BatchSettings) -> None:
        """Add keys to read or delete.

        Raises:
            Problem: 400, a key cannot be one.
        """
        count, owners, all_keys, all_entries = self._map.bucket_count, self._map.owners, self._keys, self._entries
        max_key = settings.max_key_bytes
        for position, key in enumerate(keys):
            name = key.encode()
            if not 0 < len(name) <= max_key:
                raise _bad_key(key, name, max_key, "keys", position)
            bucket = (crc32c(name) ^ _ALL_ONES) % count + 1
            owner = owners[bucket]
            all_keys[owner].append(key)
            all_entries[owner].append(_KEY_HEAD + _encode(key) + _encode(bucket))

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


def _name(key: str, max_key: int) -> bytes:
    name = key.encode()
    if not 0 < len(name) <= max_key:
        raise _bad_key(key, name, max_key)
    return name


def _bad_key(key: str, name: bytes, max_key: int, member: str = "data", position: int | None = None) -> Problem:
    fault = f"a key has {len(name)} bytes, 1 to {max_key} are allowed"
    return at(Kind.INVALID_KEY, fault, member, key[:64] if position is None else position)


def _check_size(key: str, size: int, max_value: int) -> None:
    if size > max_value:
        raise invalid_value(key, f"it has {size} bytes as MessagePack, {max_value} are allowed")
