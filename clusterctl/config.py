"""The configuration of a cluster on one machine: made of `.env`, the command line and what an earlier start wrote."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from clusterctl.config_yaml import CLUSTER_PASSWORD
from clusterctl.engine import Engine, find
from clusterctl.membership import NOBODY, Membership
from clusterctl.plan import ShardPlan
from localcluster import dotenv
from localcluster.config import ClusterConfig, ConfigError, Shard, for_machine, for_tests
from localcluster.ports import free_ports

FIRST_PORT = ("TARANTKV_CLUSTER_FIRST_PORT", 14301)
API_PORT = ("TARANTKV_CLUSTER_API_PORT", 8082)
REDIS_PORT = ("TARANTKV_CLUSTER_REDIS_PORT", 7479)

USUAL_SHARDS, USUAL_REPLICAS = 2, 3
_HIGHEST_PORT = 32767
"""Linux takes the source ports of connections from the range above. An instance that restarts must find its port free,
so it gets one below."""

_PLAN = "plan.json"
_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class ReplicatedConfig(ClusterConfig):
    """The processes, and the replica sets that they belong to. Each of `shards` is one instance."""

    plan: tuple[ShardPlan, ...] = ()
    engine: Engine | None = None
    instances_password: str = ""
    membership: Membership = NOBODY
    ports: tuple[int, ...] = ()
    """The ports of all present and former instances; new instances get those behind the last."""

    @property
    def bucket_count(self) -> int:
        """The number of buckets of all shards together."""
        return int(self.settings.get("TARANTKV_BUCKET_COUNT", "30000"))


def of_machine(
    root: Path, shards: int | None = None, replicas: int | None = None, *, starts: bool = False
) -> ReplicatedConfig:
    """The cluster of `make cluster-up`, in `.cluster/`. Looks for Tarantool and vshard only if `starts`.

    Raises `ConfigError` or `DotenvError`, with a text of one line.
    """
    dotenv.ensure(root / ".env")
    given = {**dotenv.read(root / ".env"), **os.environ}
    given = {name: value for name, value in given.items() if name.startswith("TARANTKV_") and value.strip()}
    data_dir = root / ".cluster"
    wanted = _counts(data_dir, shards, replicas)
    first = _port(given, FIRST_PORT)
    if first + wanted.highest() - 1 > _HIGHEST_PORT:
        raise ConfigError(f"{FIRST_PORT[0]}: {first}: the last instance's port would be above {_HIGHEST_PORT}")
    # These settings are meant for the processes of `make up`, which may run beside this cluster.
    single = {"TARANTKV_SHARDS": None, "TARANTKV_PORT": None, "TARANTKV_REDIS_URL": None}
    base = for_machine(root)
    settings = {name: value for name, value in base.settings.items() if name not in single}
    ports = tuple(range(first, first + wanted.highest()))
    config = _replicated(base, data_dir, settings, ports, wanted, find(given) if starts else None, given)
    return replace(config, redis_ports=(_port(given, REDIS_PORT),), api_port=_port(given, API_PORT))


def with_replicas(base: ClusterConfig, shards: int, replicas: int, engine: Engine) -> ReplicatedConfig:
    """The cluster `base`, with replica sets on random ports in place of its shards."""
    membership = Membership(shards, replicas, shards, secrets.token_hex(8))
    own = {CLUSTER_PASSWORD: secrets.token_hex(8)}
    ports = free_ports(shards * replicas)
    settings = {name: value for name, value in base.settings.items() if name != "TARANTKV_SHARDS"}
    config = _replicated(base, base.data_dir, settings, ports, membership, engine, own)
    return replace(config, start_timeout_s=2 * base.start_timeout_s)


def of_tests(
    data_dir: Path, engine: Engine, *, shards: int = 2, replicas: int = 3, settings: Mapping[str, str] | None = None
) -> ReplicatedConfig:
    """A small cluster for tests, which can run beside others and ends with the process that started it."""
    given = {"TARANTKV_SHARD_MEMORY_MIB": "64", "TARANTKV_COUNT_APPLICATIONS": "true", **(settings or {})}
    base = for_tests(data_dir, shards=0, settings=given)
    return with_replicas(base, shards, replicas, engine)


def remember(config: ReplicatedConfig) -> None:
    """Write down the members of the cluster, before any of them creates data."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = config.data_dir / f"{_PLAN}.new"
    scratch.write_bytes(msgspec.json.encode(config.membership))
    scratch.replace(config.data_dir / _PLAN)


def remembered(data_dir: Path) -> Membership | None:
    """The members that `remember` wrote down; None: it wrote nothing.

    Raises `ConfigError` if the file is damaged.
    """
    try:
        return msgspec.json.decode((data_dir / _PLAN).read_bytes(), type=Membership)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        raise ConfigError(f"{data_dir / _PLAN} is damaged: it does not say how many shards there are") from None


def of_membership(config: ReplicatedConfig, membership: Membership) -> ReplicatedConfig:
    """The same cluster with other members.

    Raises `ConfigError` if there are too few positions or ports for them.
    """
    membership.check()
    more = membership.highest() - len(config.ports)
    ports = (*config.ports, *(config.ports[-1] + 1 + number for number in range(more)))
    if ports[-1] > _HIGHEST_PORT:
        raise ConfigError(f"{FIRST_PORT[0]}: the last instance's port would be above {_HIGHEST_PORT}")
    given = {CLUSTER_PASSWORD: config.instances_password}
    made = _replicated(config, config.data_dir, dict(config.settings), ports, membership, config.engine, given)
    return replace(made, redis_ports=config.redis_ports, api_port=config.api_port)


def _replicated(
    base: ClusterConfig,
    data_dir: Path,
    settings: dict[str, str],
    ports: tuple[int, ...],
    membership: Membership,
    engine: Engine | None,
    given: Mapping[str, str],
) -> ReplicatedConfig:
    addresses = [f"{_ADDRESS}:{port}" for port in ports]
    planned = membership.plan(addresses, int(settings.get("TARANTKV_BUCKET_COUNT", "30000")))
    instances = [(shard.name, instance) for shard in planned for instance in shard.instances]
    store = settings[dotenv.STORE_PASSWORD].encode()
    password = given.get(CLUSTER_PASSWORD) or hmac.new(store, b"instances", hashlib.sha256).hexdigest()
    known = {name: value for name, value in vars(base).items() if name in ClusterConfig.__dataclass_fields__}
    return ReplicatedConfig(
        **{
            **known,
            "data_dir": data_dir,
            "settings": settings,
            "shards": tuple(Shard(instance.name, ports[instance.position - 1], shard) for shard, instance in instances),
        },
        plan=planned,
        engine=engine,
        instances_password=password,
        membership=membership,
        ports=ports,
    )


def _counts(data_dir: Path, shards: int | None, replicas: int | None) -> Membership:
    """The members that an earlier start wrote down; at the first start those that were asked for, or the usual ones.

    Raises `ConfigError` if other numbers are asked for than the cluster has.
    """
    there = remembered(data_dir)
    if there is None:
        count = shards or USUAL_SHARDS
        wanted = Membership(count, replicas or USUAL_REPLICAS, count, secrets.token_hex(8))
        wanted.check()
        return wanted
    is_there = there.shards - len(there.gone), there.replicas
    asked = shards or is_there[0], replicas or is_there[1]
    if asked != is_there:
        raise ConfigError(
            f"{data_dir} holds {is_there[0]} shards of {is_there[1]} instances, not {asked[0]} of {asked[1]}"
        )
    return there


def _port(given: Mapping[str, str], setting: tuple[str, int]) -> int:
    name, usual = setting
    text = given.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _HIGHEST_PORT):
        raise ConfigError(f"{name}: {text!r} is not a port from 1 to {_HIGHEST_PORT}")
    return int(text)
