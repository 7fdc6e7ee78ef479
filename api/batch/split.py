"""Splits a batch: finds the bucket and shard of every key, and makes the bodies that the shards take.

This is the api's hottest loop, with one round for each key: it uses look-ups and functions written in C.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from google_crc32c import value as crc32c

from api.batch.limits import check_names, encoded_value
from api.batch.options import WriteOptions
from protocol.buckets import ShardMap, bucket_of
from protocol.chunks import Row, key_bodies, write_bodies
from protocol.operations import Operation
from protocol.rows import bodies, rest_of_rows
from protocol.settings import BatchSettings

_ALL_ONES = 0xFFFFFFFF

_encode = msgspec.msgpack.Encoder().encode


class Part:
    """What is sent to one shard in one chunk: the keys, and the body that names them."""

    __slots__ = ("body", "keys", "shard")

    def __init__(self, shard: str, keys: list[str], body: bytes) -> None:
        self.shard = shard
        self.keys = keys
        self.body = body


class Groups:
    """The parts of a batch."""

    __slots__ = ("_map", "_parts")

    def __init__(self, shard_map: ShardMap) -> None:
        self._map = shard_map
        self._parts: list[Part] = []

    def parts(self) -> Sequence[Part]:
        """The parts of the batch, each within the size of a chunk."""
        return self._parts

    def add_values(self, data: Mapping[str, Any], settings: BatchSettings, options: WriteOptions | None = None) -> None:
        """Add pairs of key and value; a value may be `msgspec.Raw`, whose bytes are stored unchanged.

        With `options`, each key has its expiry and condition from there.

        Raises:
            Problem: 400, a key or a value cannot be stored.
        """
        names = list(map(str.encode, data))
        check_names(names, settings.max_key_bytes, lambda position: ("data", list(data)[position]))
        try:
            if options is None:
                parts = self._write(data, names)
            else:
                parts = self._place(options.operation, options.rows(data), names)
        except OverflowError:
            _name_fault(data, settings)
            raise
        if any(len(part.body) > settings.max_value_bytes for part in parts):
            _name_fault(data, settings)
        self._parts += parts

    def add_keys(self, keys: Sequence[str], settings: BatchSettings) -> None:
        """Add keys to read or delete.

        Raises:
            Problem: 400, a key cannot be stored.
        """
        names = list(map(str.encode, keys))
        check_names(names, settings.max_key_bytes, lambda position: ("keys", position))
        self._parts += self._name(keys, names)

    def add_rows(
        self, operation: Operation, rows: Sequence[tuple[Any, ...]], settings: BatchSettings, member: str
    ) -> None:
        """Add rows of an operation: each begins with its key; `protocol.changes` describes the rest.

        `member` is the member of the body that names the keys.

        Raises:
            Problem: 400, a key cannot be stored.
        """
        names = [row[0].encode() for row in rows]
        check_names(
            names,
            settings.max_key_bytes,
            lambda position: (member, position if member == "keys" else rows[position][0]),
        )
        self._parts += self._place(operation, rows, names)

    def add_again(
        self,
        operation: Operation,
        parts: Iterable[Part],
        *,
        only: frozenset[int] | None = None,
        without: frozenset[int] = frozenset(),
    ) -> None:
        """Add the keys of `parts` that were made with another map: of the buckets in `only`, or all but those in
        `without`.
        """
        rows = []
        for part in parts:
            for key, rest in zip(part.keys, rest_of_rows(operation, part.body), strict=True):
                bucket = bucket_of(key.encode(), self._map.bucket_count)
                if bucket not in without and (only is None or bucket in only):
                    rows.append((key, *rest))
        self._parts += self._place(operation, rows, [row[0].encode() for row in rows])

    def _place(self, operation: Operation, rows: Sequence[tuple[Any, ...]], names: Sequence[bytes]) -> list[Part]:
        """The parts of any operation; `_write` and `_name` do the same for the plain ones, and faster."""
        owners, count = self._map.owners, self._map.bucket_count
        placed: list[list[tuple[Any, ...]]] = [[] for _ in self._map.shards]
        for row, hashed in zip(rows, map(crc32c, names), strict=True):
            bucket = (_ALL_ONES - hashed) % count + 1
            placed[owners[bucket]].append((row[0], bucket, *row[1:]))
        return [
            Part(shard, [row[0] for row in shard_rows[start:end]], body)
            for shard, shard_rows in zip(self._map.shards, placed, strict=True)
            if shard_rows
            for start, end, body in bodies(operation, shard_rows)
        ]

    def _write(self, data: Mapping[str, Any], names: Sequence[bytes]) -> list[Part]:
        owners, count = self._map.owners, self._map.bucket_count
        if len(names) == 1:
            bucket = (_ALL_ONES - crc32c(names[0])) % count + 1
            ((key, value),) = data.items()
            return [Part(self._map.shards[owners[bucket]], [key], _encode(((key, bucket, value),)))]
        keys: list[list[str]] = [[] for _ in self._map.shards]
        rows: list[list[Row]] = [[] for _ in self._map.shards]
        # This is what `bucket_of` does, here and below: a call for each key would take half as long again.
        for (key, value), hashed in zip(data.items(), map(crc32c, names), strict=True):
            bucket = (_ALL_ONES - hashed) % count + 1
            owner = owners[bucket]
            keys[owner].append(key)
            rows[owner].append((key, bucket, value))
        return [
            Part(shard, shard_keys[start:end], body)
            for shard, shard_keys, shard_rows in zip(self._map.shards, keys, rows, strict=True)
            if shard_keys
            for start, end, body in write_bodies(shard_rows)
        ]

    def _name(self, all_keys: Sequence[str], names: Sequence[bytes]) -> list[Part]:
        owners, count = self._map.owners, self._map.bucket_count
        if len(names) == 1:
            bucket = (_ALL_ONES - crc32c(names[0])) % count + 1
            return [Part(self._map.shards[owners[bucket]], [all_keys[0]], _encode((all_keys, (bucket,))))]
        keys: list[list[str]] = [[] for _ in self._map.shards]
        buckets: list[list[int]] = [[] for _ in self._map.shards]
        for key, hashed in zip(all_keys, map(crc32c, names), strict=True):
            bucket = (_ALL_ONES - hashed) % count + 1
            owner = owners[bucket]
            keys[owner].append(key)
            buckets[owner].append(bucket)
        return [
            Part(shard, shard_keys[start:end], body)
            for shard, shard_keys, shard_buckets in zip(self._map.shards, keys, buckets, strict=True)
            if shard_keys
            for start, end, body in key_bodies(shard_keys, shard_buckets)
        ]


def _name_fault(data: Mapping[str, Any], settings: BatchSettings) -> None:
    """Raise the problem of the first value that cannot be stored, if there is one."""
    for key, value in data.items():
        encoded_value(key, value, settings.max_value_bytes)
