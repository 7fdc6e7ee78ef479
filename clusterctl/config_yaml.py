"""Writes `config.yaml`, the declarative configuration that all instances of a cluster share.

It holds no secret: passwords come from the environment of each instance, `TARANTKV_STORE_PASSWORD` and
`TARANTKV_CLUSTER_PASSWORD`. What the role `tarantkv` reads of it is checked again by the role.
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
"""The database user as which instances talk to each other."""

CLUSTER_PASSWORD = "TARANTKV_CLUSTER_PASSWORD"  # noqa: S105  the name of the variable
STORE_PASSWORD = "TARANTKV_STORE_PASSWORD"  # noqa: S105

REPLICATION_TIMEOUT_S = 0.2
"""An instance that has sent nothing for four times as long counts as dead."""
ELECTION_TIMEOUTS_S = (0.5, 0.65, 0.8, 0.95, 1.1)
"""After so long without a winner an instance calls for another vote, by its place in the shard. All notice at the same
moment that their leader is dead, and two that vote for themselves wait for each other: the next time one is first.
"""
SYNCHRO_TIMEOUT_S = 60
"""How long a change waits for its replicas before its outcome is unknown. The workers give it up long before."""
CONNECT_TIMEOUT_S = 3
"""How long a start waits for instances that may be away for good."""
FIRST_CONNECT_TIMEOUT_S = 30
"""An instance without data ends where it finds no other: all are given the time to start."""
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
    """The configuration as what YAML holds: dictionaries, lists, texts, numbers.

    `seed` is any text, the same for good and no other cluster's: the UUIDs are made of it.
    `settings` are `TARANTKV_*` variables: those that a shard reads, but for its name, address and directory. `console`
    is the path of an instance's admin console, where `{{ instance_name }}` stands for its name. Data lies in the
    directory in which the instance is started. `empty` names the instances that have none yet.

    Raises:
        SettingsError: a setting is wrong.
        ValueError: two instances have one position, or a name, or a position is out of bounds.
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
            # Who was taken out of the configuration counts no longer for the quorum (vshard#623).
            "autoexpel": {"enabled": True, "by": "prefix", "prefix": "{{ replicaset_name }}-"},
        },
        "sharding": {
            "roles": ["storage"],
            "bucket_count": cluster.bucket_count,
            # Buckets are moved one by one, paced: vshard's own way makes requests wait.
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
                raise ValueError(f"instance {instance.name} of shard {shard.name}: its name begins with {shard.name}-")
            if not 1 <= instance.position <= MOST_POSITIONS:
                raise ValueError(f"instance {instance.name}: the position is 1 to {MOST_POSITIONS}")
            for what in (instance.name, instance.position, instance.address):
                if what in seen:
                    raise ValueError(f"instances {seen[what]} and {instance.name} are both {what}")
                seen[what] = instance.name


def render(value: Mapping[str, Any]) -> str:
    """A document as YAML: maps in blocks, one key a line; every text in double quotes, as in JSON."""
    return "\n".join([*_lines(value, ""), ""])


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, inner in value.items():
        name = key if _PLAIN.fullmatch(key) else json.dumps(key)
        if isinstance(inner, Mapping):
            yield f"{indent}{name}:"
            yield from _lines(inner, indent + "  ")
        else:
            yield f"{indent}{name}: {json.dumps(inner, ensure_ascii=False)}"
