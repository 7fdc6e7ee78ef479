"""Maps keys to buckets, and buckets to shards.

The bucket of a key is `digest.crc32(key) % bucket_count + 1` in Tarantool's terms. vshard's `strcrc32` and `mpcrc32`
and the crud module use the same function, so other Tarantool applications find the same keys. Tarantool's
`digest.crc32` is CRC-32C without the final inversion, hence the complement below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TypeAlias

from google_crc32c import value as crc32c

_ALL_ONES = 0xFFFFFFFF

Ranges: TypeAlias = tuple[tuple[int, int], ...]


class ShardMapError(ValueError):
    """The shards do not own every bucket exactly once; the text says what is wrong."""


class HoleError(ShardMapError):
    """No shard owns some bucket. It may have moved between two answers."""


class OverlapError(ShardMapError):
    """Two shards own one bucket. It may have moved between two answers."""


def bucket_of(key: bytes, bucket_count: int) -> int:
    """The bucket of `key` (UTF-8 bytes), from 1 to `bucket_count`."""
    hashed: int = crc32c(key)
    return (hashed ^ _ALL_ONES) % bucket_count + 1


@dataclass(frozen=True, slots=True)
class Ownership:
    """What one shard says it owns: its name, its bucket count, and ranges of buckets, both ends included.

    It answers reads of the buckets in `ranges`. Those in `moving` are moving from it or to it.
    """

    shard: str
    bucket_count: int
    ranges: Ranges
    moving: Ranges = ()


@dataclass(frozen=True)
class ShardMap:
    """Which shard owns which bucket.

    `owners[bucket]` is an index into `shards`; `owners[0]` has no meaning, because buckets count from 1. A shard may
    own no bucket: it was just added, or will be removed soon.
    """

    shards: tuple[str, ...]
    bucket_count: int
    owners: Sequence[int]

    def owner(self, bucket: int) -> str:
        """The name of the shard that owns `bucket`."""
        return self.shards[self.owners[bucket]]

    @cached_property
    def holders(self) -> tuple[str, ...]:
        """The shards that own a bucket."""
        return tuple(self.shards[index] for index in sorted(set(self.owners[1:])))

    def buckets(self, shard: str) -> Iterator[int]:
        """The buckets that a shard owns."""
        index = self.shards.index(shard) if shard in self.shards else -1
        return (bucket for bucket in range(1, self.bucket_count + 1) if self.owners[bucket] == index)

    def moved(self, places: Mapping[int, str]) -> ShardMap:
        """The map after buckets have moved to other shards of it."""
        owners = list(self.owners)
        for bucket, shard in places.items():
            owners[bucket] = self.shards.index(shard)
        return ShardMap(self.shards, self.bucket_count, owners)


def build_shard_map(shards: Sequence[str], bucket_count: int, answers: Mapping[str, Ownership]) -> ShardMap:
    """Check that the answers of the shards make one complete map, and build it.

    `answers` has the answer of the instance found under each shard's name. It may lack a shard that does not answer, if
    the others own every bucket. A bucket between two shards belongs to one that says it is moving: that shard knows
    where it goes.

    Raises:
        HoleError, OverlapError: a bucket is owned by no shard, or by several.
        ShardMapError: another shard answered under a name, or a bucket count differs.
    """
    there = [(index, name, answers[name]) for index, name in enumerate(shards) if name in answers]
    for _, name, answer in there:
        _check(name, answer, bucket_count)
    owners = [-1] * (bucket_count + 1)
    for index, name, answer in there:
        for bucket in _buckets(answer.ranges):
            if owners[bucket] != -1:
                raise OverlapError(f"shards {shards[owners[bucket]]} and {name} both own bucket {bucket}")
            owners[bucket] = index
    for index, _, answer in there:
        for bucket in _buckets(answer.moving):
            if owners[bucket] == -1:
                owners[bucket] = index
    missing = [bucket for bucket in range(1, bucket_count + 1) if owners[bucket] == -1]
    if missing:
        raise HoleError(
            f"no shard owns {len(missing)} of {bucket_count} buckets, the first of them bucket {missing[0]}: "
            "TARANTKV_SHARDS does not name every shard that holds data"
        )
    owners[0] = 0
    return ShardMap(shards=tuple(shards), bucket_count=bucket_count, owners=tuple(owners))


def _buckets(ranges: Ranges) -> Iterator[int]:
    return chain.from_iterable(range(first, last + 1) for first, last in ranges)


def _check(name: str, answer: Ownership, bucket_count: int) -> None:
    if answer.shard != name:
        raise ShardMapError(f"the instance configured as shard {name} says it is shard {answer.shard}")
    if answer.bucket_count != bucket_count:
        raise ShardMapError(
            f"shard {name} was made with bucket_count {answer.bucket_count}, TARANTKV_BUCKET_COUNT is {bucket_count}"
        )
    for first, last in (*answer.ranges, *answer.moving):
        if not 1 <= first <= last <= bucket_count:
            raise ShardMapError(f"shard {name} claims buckets {first} to {last} of {bucket_count}")
