"""The replica sets and instances of a cluster, and the buckets that each shard has at first. Starts nothing."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

MOST_POSITIONS = 1023
"""Greatest position of an instance: a version has room for so many (`shard_clock.lua`)."""


@dataclass(frozen=True)
class Instance:
    """One instance of a shard."""

    name: str
    """Begins with the shard's name and a hyphen. A shard expels instances with this prefix that the configuration does
    not list."""
    address: str
    """`host:port` under which the other instances and the workers reach it."""
    position: int
    """1 to `MOST_POSITIONS`, unique in the cluster, and never changed: the versions that the instance makes contain
    it."""
    listen: str = ""
    """`host:port` on which it listens; empty: the same as `address`."""


@dataclass(frozen=True)
class ShardPlan:
    """One shard: a replica set, and the buckets that it creates at its first start."""

    name: str
    instances: tuple[Instance, ...]
    first_buckets: tuple[int, int] | None = None
    """First and last bucket; None for a shard that is added later and gets its buckets from other shards."""


def first_buckets(position: int, shards: int, bucket_count: int) -> tuple[int, int]:
    """The range of shard number `position`, from 1, as `ownership.range_of` in Lua divides them."""
    return (position - 1) * bucket_count // shards + 1, position * bucket_count // shards


def fixed_uuid(seed: str, name: str) -> str:
    """The UUID of an instance or a replica set, made of the cluster's seed and the name.

    It never changes, so an instance that has lost its data can join again. With another UUID its peers would refuse it
    as long as they remember the old one.
    """
    return str(uuid.UUID(bytes=hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16], version=5))
