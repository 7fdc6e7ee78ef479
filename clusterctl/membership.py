"""Which shards and instances a cluster has and had, as it is written down, and what is kept for good when one comes
or goes: names and positions are given once. No behaviour: nothing is started here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from clusterctl.plan import MOST_POSITIONS, Instance, ShardPlan, first_buckets
from localcluster.config import ConfigError


@dataclass(frozen=True)
class Membership:
    """Shards s1 to s`shards` without those that are `gone`.

    The `first` ones made the buckets at the first start, and a new one gets `replicas` instances. The UUIDs of
    instances are made of `seed`. `joining` and `draining` name the shard that is being added or drained, `coming` the
    instance that is being added to a shard, and `replacing` the one whose place it takes, if there are such.
    """

    shards: int
    replicas: int
    first: int
    seed: str
    gone: tuple[str, ...] = ()
    joining: str = ""
    draining: str = ""
    given: Mapping[str, int] = field(default_factory=dict)
    """The positions that were given before an instance was added to a shard; others follow in the order of names."""
    lost: tuple[str, ...] = ()
    """Instances that are none any more, of shards that are still there."""
    coming: str = ""
    replacing: str = ""

    def positions(self) -> dict[str, int]:
        """Of every instance that there is or was."""
        found = dict(self.given)
        highest = max(found.values(), default=0)
        for shard in range(1, self.shards + 1):
            for replica in range(1, self.replicas + 1):
                if f"s{shard}-{replica}" not in found:
                    highest += 1
                    found[f"s{shard}-{replica}"] = highest
        return found

    def highest(self) -> int:
        """The highest position that was given."""
        return max(self.positions().values())

    def names(self) -> list[str]:
        """The shards that there are."""
        return [name for number in range(1, self.shards + 1) if (name := f"s{number}") not in self.gone]

    def instances(self, shard: str) -> list[str]:
        """The instances that a shard has."""
        found = [name for name in self.positions() if shard_of(name) == shard and name not in self.lost]
        return sorted(found, key=_replica_of)

    def with_instance(self, shard: str) -> Membership:
        """With one more instance of a shard, which is `coming`: with a name and a position that no other ever had."""
        positions = self.positions()
        number = 1 + max(_replica_of(name) for name in positions if shard_of(name) == shard)
        name = f"{shard}-{number}"
        return replace(self, given={**positions, name: 1 + max(positions.values())}, coming=name)

    def without(self, instance: str) -> Membership:
        """Without an instance."""
        return replace(self, lost=tuple(sorted({*self.lost, instance})))

    def check(self) -> None:
        """Raise `ConfigError` where there are too many instances."""
        if self.highest() > MOST_POSITIONS:
            raise ConfigError(f"a cluster has at most {MOST_POSITIONS} instances, those that are gone included")

    def plan(self, addresses: Sequence[str], bucket_count: int) -> tuple[ShardPlan, ...]:
        """The shards that there are; the first ones made the buckets among them. An instance's address is the one at
        its position, counted from 1.
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
    """The shard that an instance is of, by its name."""
    return instance.partition("-")[0]


def _replica_of(instance: str) -> int:
    return int(instance.partition("-")[2])
