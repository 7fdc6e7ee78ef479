"""What a cluster on one machine consists of: from `.env`, the command line, and what an earlier start has written."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clusterctl.config_yaml import CLUSTER_PASSWORD
from clusterctl.engine import Engine, find
from clusterctl.plan import MOST_POSITIONS, ShardPlan, plan
from localcluster import dotenv
from localcluster.config import ClusterConfig, ConfigError, Shard, for_machine, for_tests
from localcluster.ports import free_ports

FIRST_PORT = ("TARANTKV_CLUSTER_FIRST_PORT", 14301)
API_PORT = ("TARANTKV_CLUSTER_API_PORT", 8082)
REDIS_PORT = ("TARANTKV_CLUSTER_REDIS_PORT", 7479)

USUAL_SHARDS, USUAL_REPLICAS = 2, 3
_HIGHEST_PORT = 32767
"""Linux takes source ports from above: an instance that is down for a moment must find its port free."""

_PLAN = "plan.json"
_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class ReplicatedConfig(ClusterConfig):
    """The processes, where each of `shards` is one instance, and the replica sets that they are of."""

    plan: tuple[ShardPlan, ...] = ()
    engine: Engine | None = None
    instances_password: str = ""


def of_machine(
    root: Path, shards: int | None = None, replicas: int | None = None, *, starts: bool = False
) -> ReplicatedConfig:
    """The cluster of `make cluster-up`, in `.cluster/`; what it runs on is only looked for where it `starts`.

    Raises `ConfigError` or `DotenvError`, in one line.
    """
    dotenv.ensure(root / ".env")
    given = {**dotenv.read(root / ".env"), **os.environ}
    given = {name: value for name, value in given.items() if name.startswith("TARANTKV_") and value.strip()}
    data_dir = root / ".cluster"
    wanted = _counts(data_dir, shards, replicas)
    first = _port(given, FIRST_PORT)
    if first + wanted[0] * wanted[1] - 1 > _HIGHEST_PORT:
        raise ConfigError(f"{FIRST_PORT[0]}: {first}: the last instance's port is past {_HIGHEST_PORT}")
    # What places the single machine's processes is not meant for these.
    single = {"TARANTKV_SHARDS": None, "TARANTKV_PORT": None, "TARANTKV_REDIS_URL": None}
    base = for_machine(root)
    settings = {name: value for name, value in base.settings.items() if name not in single}
    ports = tuple(range(first, first + wanted[0] * wanted[1]))
    config = _replicated(base, data_dir, settings, ports, wanted, find(given) if starts else None, given)
    return replace(config, redis_ports=(_port(given, REDIS_PORT),), api_port=_port(given, API_PORT))


def of_tests(
    data_dir: Path, engine: Engine, *, shards: int = 2, replicas: int = 3, settings: Mapping[str, str] | None = None
) -> ReplicatedConfig:
    """A small cluster beside others, gone with the process that started it."""
    given = {"TARANTKV_SHARD_MEMORY_MIB": "64", "TARANTKV_COUNT_APPLICATIONS": "true", **(settings or {})}
    base = for_tests(data_dir, shards=0, settings=given)
    ports = free_ports(shards * replicas)
    own = {CLUSTER_PASSWORD: secrets.token_hex(8)}
    config = _replicated(base, data_dir, dict(base.settings), ports, (shards, replicas), engine, own)
    return replace(config, start_timeout_s=2 * base.start_timeout_s)


def remember(config: ReplicatedConfig) -> None:
    """Write down how many shards and replicas there are, before the first start makes data of them."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = config.data_dir / f"{_PLAN}.new"
    counts = {"shards": len(config.plan), "replicas": len(config.plan[0].instances)}
    scratch.write_text(json.dumps(counts))
    scratch.replace(config.data_dir / _PLAN)


def _replicated(
    base: ClusterConfig,
    data_dir: Path,
    settings: dict[str, str],
    ports: tuple[int, ...],
    counts: tuple[int, int],
    engine: Engine | None,
    given: Mapping[str, str],
) -> ReplicatedConfig:
    shards, replicas = counts
    addresses = [
        [f"{_ADDRESS}:{port}" for port in ports[number * replicas : (number + 1) * replicas]]
        for number in range(shards)
    ]
    planned = plan(addresses, int(settings.get("TARANTKV_BUCKET_COUNT", "30000")))
    instances = [(shard.name, instance) for shard in planned for instance in shard.instances]
    store = settings[dotenv.STORE_PASSWORD].encode()
    password = given.get(CLUSTER_PASSWORD) or hmac.new(store, b"instances", hashlib.sha256).hexdigest()
    known = {name: value for name, value in vars(base).items() if name in ClusterConfig.__dataclass_fields__}
    return ReplicatedConfig(
        **{
            **known,
            "data_dir": data_dir,
            "settings": settings,
            "shards": tuple(
                Shard(instance.name, port, shard) for (shard, instance), port in zip(instances, ports, strict=True)
            ),
        },
        plan=planned,
        engine=engine,
        instances_password=password,
    )


def _counts(data_dir: Path, shards: int | None, replicas: int | None) -> tuple[int, int]:
    """How many shards, and instances of each: as asked, as before, or as usual."""
    try:
        before = json.loads((data_dir / _PLAN).read_text())
        there = int(before["shards"]), int(before["replicas"])
    except FileNotFoundError:
        there = None
    except (ValueError, LookupError, TypeError):
        raise ConfigError(f"{data_dir / _PLAN} is damaged: it does not say how many shards there are") from None
    wanted = (
        shards or (there[0] if there else USUAL_SHARDS),
        replicas or (there[1] if there else USUAL_REPLICAS),
    )
    if there is not None and wanted != there:
        raise ConfigError(f"{data_dir} holds {there[0]} shards of {there[1]} instances, not {wanted[0]} of {wanted[1]}")
    if wanted[0] * wanted[1] > MOST_POSITIONS:
        raise ConfigError(f"a cluster has at most {MOST_POSITIONS} instances")
    return wanted


def _port(given: Mapping[str, str], setting: tuple[str, int]) -> int:
    name, usual = setting
    text = given.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _HIGHEST_PORT):
        raise ConfigError(f"{name}: {text!r} is not a port from 1 to {_HIGHEST_PORT}")
    return int(text)
