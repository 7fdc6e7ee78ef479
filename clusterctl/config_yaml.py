"""Writes `config.yaml`, the declarative configuration that all instances of a cluster share.

It holds no secret: each instance takes the passwords from its environment, `TARANTKV_STORE_PASSWORD` and
`TARANTKV_CLUSTER_PASSWORD`. The role `tarantkv` checks its part of the configuration again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from clusterctl.plan import MOST_POSITIONS, ShardPlan, fixed_uuid
from protocol.settings import ClusterSettings, LogSettings, ShardSettings, StoreSettings, load

ROLE = "tarantkv"

INSTANCES_USER = "instances"
"""The database user as which instances log in to each other."""

CLUSTER_PASSWORD = "TARANTKV_CLUSTER_PASSWORD"  # noqa: S105  the name of the variable
STORE_PASSWORD = "TARANTKV_STORE_PASSWORD"  # noqa: S105

REPLICATION_TIMEOUT_S = 0.2
"""Its peers count an instance as dead if it has sent nothing for four times as long."""
ELECTION_TIMEOUTS_S = (0.5, 0.65, 0.8, 0.95, 1.1)
"""How long an instance waits for the winner of an election before it calls another one, by its place in the shard.

All instances notice at the same moment that their leader is dead, so two of them may split the votes. Different
timeouts let one of them be first at the next election.
"""
SYNCHRO_TIMEOUT_S = 60
"""How long a change waits for its replicas before its outcome is unknown. Workers stop waiting long before that."""
CONNECT_TIMEOUT_S = 3
"""How long a starting instance waits for other instances, which may be gone for good."""
FIRST_CONNECT_TIMEOUT_S = 30
"""The same for an instance without data: it ends if it finds no other instance, so the others get time to start."""
BUCKET_SEND_TIMEOUT_S = 3

_MEBIBYTE = 1024 * 1024
_MAX_TUPLE_BYTES = _MEBIBYTE
_LOG_LEVELS = {"warning": "warn"}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def document(
    shards: Sequence[ShardPlan],
    settings: Mapping[str, str],
    *,
    seed: str,
    console: str = "tarantool.control",
    empty: Collection[str] = (),
) -> dict[str, Any]:
    """The configuration as dictionaries, lists, texts and numbers, for `render`.

    `seed` is any text that never changes and that no other cluster has: the UUIDs are made of it.
    `settings` are the `TARANTKV_*` variables of a shard, except its name, address and directory. `console` is the path
    of an instance's admin console, where `{{ instance_name }}` stands for its name. An instance keeps its data in the
    directory in which it is started. `empty` names the instances that have no data yet.

    Raises:
        SettingsError: a setting is wrong.
        ValueError: two instances share a name, an address or a position, or a position is out of bounds.
    """
    _check(shards)
    addresses = {shard.name: ",".join(instance.address for instance in shard.instances) for shard in shards}
    given = {
        **settings,
        "TARANTKV_SHARDS": ";".join(f"{name}={listed}" for name, listed in addresses.items()),
        "TARANTKV_SHARD": shards[0].name,
    }
    cluster, store = load(ClusterSettings, given), load(StoreSettings, {STORE_PASSWORD: "-", **given})
    shard, log = load(ShardSettings, given), load(LogSettings, given)
    return {
        "config": {
            "context": {
                "store_password": {"from": "env", "env": STORE_PASSWORD},
                "instances_password": {"from": "env", "env": CLUSTER_PASSWORD},
            }
        },
        "credentials": {
            "users": {
                INSTANCES_USER: {
                    "password": "{{ context.instances_password }}",
                    "roles": ["replication", "sharding"],
                }
            }
        },
        "iproto": {"advertise": {"peer": {"login": INSTANCES_USER}, "sharding": {"login": INSTANCES_USER}}},
        "process": {"title": "{{ instance_name }}"},
        "log": {"to": "stderr", "level": _LOG_LEVELS.get(log.log_level, log.log_level)},
        "console": {"enabled": True, "socket": console},
        "fiber": {"slice": {"warn": 5, "err": 3600}},
        "memtx": {"memory": shard.shard_memory_mib * _MEBIBYTE, "max_tuple_size": _MAX_TUPLE_BYTES},
        "wal": {"dir": ".", "mode": shard.wal_mode},
        "vinyl": {"dir": "."},
        "snapshot": {"dir": ".", "by": {"wal_size": max(1024, 2 * shard.shard_memory_mib) * _MEBIBYTE}},
        "database": {"txn_synchro_timeout": SYNCHRO_TIMEOUT_S},
        "feedback": {"enabled": False},
        "compat": {"replication_synchro_timeout": "new"},
        "replication": {
            "failover": "election",
            "timeout": REPLICATION_TIMEOUT_S,
            "election_fencing_mode": "strict",
            "connect_timeout": CONNECT_TIMEOUT_S,
            # An instance that is no longer in the configuration must not count for the quorum (vshard#623).
            "autoexpel": {"enabled": True, "by": "prefix", "prefix": "{{ replicaset_name }}-"},
        },
        "sharding": {
            "roles": ["storage"],
            "bucket_count": cluster.bucket_count,
            # `moving` moves buckets one by one, with pauses. vshard's rebalancer would make requests wait.
            "rebalancer_mode": "off",
            "rebalancer_bucket_send_timeout": BUCKET_SEND_TIMEOUT_S,
        },
        "roles": [ROLE],
        "roles_cfg": {
            ROLE: {
                "bucket_count": cluster.bucket_count,
                "store_user": store.store_user,
                "store_password": "{{ context.store_password }}",
                "clock_skew_s": shard.clock_skew_s,
                "max_claims_per_user": shard.max_claims_per_user,
                "count_applications": shard.count_applications,
            }
        },
        "groups": {"shards": {"replicasets": {shard.name: _replica_set(shard, seed, empty) for shard in shards}}},
    }


def _replica_set(shard: ShardPlan, seed: str, empty: Collection[str]) -> dict[str, Any]:
    instances: dict[str, Any] = {}
    for place, instance in enumerate(shard.instances):
        iproto: dict[str, Any] = {"listen": [{"uri": instance.listen or instance.address}]}
        uri = {"uri": instance.address}
        iproto["advertise"] = {"client": instance.address, "peer": uri, "sharding": uri}
        instances[instance.name] = {
            "database": {"instance_uuid": fixed_uuid(seed, instance.name)},
            "iproto": iproto,
            "replication": {"election_timeout": ELECTION_TIMEOUTS_S[place % len(ELECTION_TIMEOUTS_S)]},
            "roles_cfg": {ROLE: {"position": instance.position}},
        }
        if instance.name in empty:
            instances[instance.name]["replication"]["connect_timeout"] = FIRST_CONNECT_TIMEOUT_S
    first = {} if shard.first_buckets is None else {"roles_cfg": {ROLE: {"first_buckets": list(shard.first_buckets)}}}
    return {"database": {"replicaset_uuid": fixed_uuid(seed, shard.name)}, **first, "instances": instances}


def _check(shards: Sequence[ShardPlan]) -> None:
    seen: dict[str | int, str] = {}
    for shard in shards:
        for instance in shard.instances:
            if not instance.name.startswith(f"{shard.name}-"):
                raise ValueError(f"instance {instance.name}: the name must begin with that of its shard, {shard.name}-")
            if not 1 <= instance.position <= MOST_POSITIONS:
                raise ValueError(f"instance {instance.name}: its position must be 1 to {MOST_POSITIONS}")
            of: dict[str, str | int] = {
                "name": instance.name,
                "position": instance.position,
                "address": instance.address,
            }
            for what, value in of.items():
                if value in seen:
                    raise ValueError(f"instances {seen[value]} and {instance.name} have the same {what}, {value}")
                seen[value] = instance.name


def render(value: Mapping[str, Any]) -> str:
    """A document as YAML: maps as blocks with one key a line, every text in double quotes as in JSON."""
    return "\n".join([*_lines(value, ""), ""])


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, inner in value.items():
        name = key if _PLAIN.fullmatch(key) else json.dumps(key)
        if isinstance(inner, Mapping):
            yield f"{indent}{name}:"
            yield from _lines(inner, indent + "  ")
        else:
            yield f"{indent}{name}: {json.dumps(inner, ensure_ascii=False)}"
