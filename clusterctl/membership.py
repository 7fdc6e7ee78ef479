"""The present and former shards and instances of a cluster, as they are written down. Starts and stops nothing.

A name or a position is never given to a second instance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from clusterctl.plan import MOST_POSITIONS, Instance, ShardPlan, first_buckets
from localcluster.config import ConfigError


@dataclass(frozen=True)
class Membership:
    """Shards s1 to s`shards`, except those that are `gone`.

    The `first` shards created the buckets at the first start. A new shard gets `replicas` instances. The UUIDs of
    instances are made of `seed`. `joining` and `draining` name the shard that is being added or drained. `coming` names
    the instance that is being added to a shard, `replacing` the instance that it replaces. Empty: there is none.
    """

    shards: int
    replicas: int
    first: int
    seed: str
    gone: tuple[str, ...] = ()
    joining: str = ""
    draining: str = ""
    given: Mapping[str, int] = field(default_factory=dict)
    """The positions of instances up to the last one that was added to a shard. Later ones follow in order of names."""
    lost: tuple[str, ...] = ()
    """Instances that were removed from shards that still exist."""
    coming: str = ""
    replacing: str = ""

    def positions(self) -> dict[str, int]:
        """The position of every present and former instance."""
        found = dict(self.given)
        highest = max(found.values(), default=0)
        for shard in range(1, self.shards + 1):
            for replica in range(1, self.replicas + 1):
                if f"s{shard}-{replica}" not in found:
                    highest += 1
                    found[f"s{shard}-{replica}"] = highest
        return found

    def highest(self) -> int:
        """The highest position that an instance has or had."""
        return max(self.positions().values())

    def names(self) -> list[str]:
        """The names of the present shards."""
        return [name for number in range(1, self.shards + 1) if (name := f"s{number}") not in self.gone]

    def instances(self, shard: str) -> list[str]:
        """The names of a shard's present instances."""
        found = [name for name in self.positions() if shard_of(name) == shard and name not in self.lost]
        return sorted(found, key=_replica_of)

    def with_instance(self, shard: str) -> Membership:
        """With one more instance of a shard, as `coming`. Its name and its position are new."""
        positions = self.positions()
        number = 1 + max(_replica_of(name) for name in positions if shard_of(name) == shard)
        name = f"{shard}-{number}"
        return replace(self, given={**positions, name: 1 + max(positions.values())}, coming=name)

    def without(self, instance: str) -> Membership:
        """Without an instance."""
        return replace(self, lost=tuple(sorted({*self.lost, instance})))

    def check(self) -> None:
        """Raise `ConfigError` if there are too many instances."""
        if self.highest() > MOST_POSITIONS:
            raise ConfigError(f"a cluster has at most {MOST_POSITIONS} instances, including former ones")

    def plan(self, addresses: Sequence[str], bucket_count: int) -> tuple[ShardPlan, ...]:
        """The present shards with their instances and first buckets.

        `addresses` holds the address of each position: that of position 1 comes first.
        """
        positions = self.positions()
        return tuple(
            ShardPlan(
                name,
                tuple(Instance(each, addresses[positions[each] - 1], positions[each]) for each in self.instances(name)),
                first_buckets(number, self.first, bucket_count) if number <= self.first else None,
            )
            for name in self.names()
            for number in (int(name[1:]),)
        )


NOBODY = Membership(0, 0, 0, "")


def shard_of(instance: str) -> str:
    """The name of the shard that an instance belongs to."""
    return instance.partition("-")[0]


def _replica_of(instance: str) -> int:
    return int(instance.partition("-")[2])
