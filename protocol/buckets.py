"""Keys to buckets, and buckets to shards.

The bucket of a key is `digest.crc32(key) % bucket_count + 1` in Tarantool's terms, the function behind vshard's
`strcrc32` and `mpcrc32` and the crud module, so that other Tarantool applications find the same keys. Tarantool's
`digest.crc32` is CRC-32C without the final inversion, hence the complement below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google_crc32c import value as crc32c

_ALL_ONES = 0xFFFFFFFF


class ShardMapError(ValueError):
    """The shards do not own every bucket exactly once; the text says what is wrong."""


def bucket_of(key: bytes, bucket_count: int) -> int:
    """The bucket of `key` (UTF-8 bytes), from 1 to `bucket_count`."""
    hashed: int = crc32c(key)
    return (hashed ^ _ALL_ONES) % bucket_count + 1


@dataclass(frozen=True, slots=True)
class Ownership:
    """What one shard says of itself: name, bucket count, and the ranges of buckets it owns, ends included."""

    shard: str
    bucket_count: int
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ShardMap:
    """Which shard owns which bucket.

    `owners[bucket]` is an index into `shards`; `owners[0]` stands for nothing, since buckets count from 1.
    """

    shards: tuple[str, ...]
    bucket_count: int
    owners: Sequence[int]

    def owner(self, bucket: int) -> str:
        """The name of the shard that owns `bucket`."""
        return self.shards[self.owners[bucket]]


def build_shard_map(shards: Sequence[str], bucket_count: int, answers: Mapping[str, Ownership]) -> ShardMap:
    """Check that the shards' own accounts make one whole map, and build it.

    `answers` holds, under the name the settings give a shard, what the instance found there said of itself.

    Raises:
        ShardMapError: another shard answered under a name, a bucket count differs, or a bucket is owned by no
            shard or by several.
    """
    owners = [-1] * (bucket_count + 1)
    for index, name in enumerate(shards):
        answer = answers[name]
        if answer.shard != name:
            raise ShardMapError(f"the instance configured as shard {name} says it is shard {answer.shard}")
        if answer.bucket_count != bucket_count:
            raise ShardMapError(
                f"shard {name} was made with bucket_count {answer.bucket_count}, "
                f"TARANTKV_BUCKET_COUNT is {bucket_count}"
            )
        for first, last in answer.ranges:
            if not 1 <= first <= last <= bucket_count:
                raise ShardMapError(f"shard {name} claims buckets {first} to {last} of {bucket_count}")
            for bucket in range(first, last + 1):
                if owners[bucket] != -1:
                    raise ShardMapError(f"shards {shards[owners[bucket]]} and {name} both own bucket {bucket}")
                owners[bucket] = index
    missing = [bucket for bucket in range(1, bucket_count + 1) if owners[bucket] == -1]
    if missing:
        raise ShardMapError(
            f"no shard owns {len(missing)} of {bucket_count} buckets, the first of them bucket {missing[0]}: "
            "TARANTKV_SHARDS does not name every shard that holds data"
        )
    owners[0] = 0
    return ShardMap(shards=tuple(shards), bucket_count=bucket_count, owners=tuple(owners))
