"""Which replica sets and instances a cluster has, and which buckets each is given at first. No behaviour."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

MOST_POSITIONS = 1023
"""Greatest position of an instance: so many fit into a version (`shard_clock.lua`)."""


@dataclass(frozen=True)
class Instance:
    """One instance of a shard."""

    name: str
    """Begins with the shard's name and a hyphen: what begins so and is not in the configuration is expelled."""
    address: str
    """`host:port` under which the other instances and the workers reach it."""
    position: int
    """1 to `MOST_POSITIONS`, no other instance's of the cluster, and kept for good: it is part of the versions that the
    instance makes."""
    listen: str = ""
    """`host:port` on which it listens; empty: its address."""


@dataclass(frozen=True)
class ShardPlan:
    """One shard: a replica set, and the buckets that it makes at its first start."""

    name: str
    instances: tuple[Instance, ...]
    first_buckets: tuple[int, int] | None = None
    """First and last bucket; None for a shard that joins later, and is given all its buckets by the others."""


def first_buckets(position: int, shards: int, bucket_count: int) -> tuple[int, int]:
    """The range of shard number `position`, from 1, as `ownership.range_of` in Lua divides them."""
    return (position - 1) * bucket_count // shards + 1, position * bucket_count // shards


def fixed_uuid(seed: str, name: str) -> str:
    """The UUID of an instance or a replica set: always the same for one name in one cluster, whose seed this is.

    An instance that lost its data joins again as itself. With another UUID its peers would refuse it while they
    remember the one it had.
    """
    return str(uuid.UUID(bytes=hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16], version=5))
