"""The programs of a cluster: the command, arguments and environment of each. It starts and writes nothing."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster import dotenv, redis_conf
from localcluster.config import ClusterConfig, ConfigError, Shard
from localcluster.launch import RUN_FD
from localcluster.layout import Layout
from localcluster.tier_settings import all_settings, settings_for

__all__ = [
    "HEARTBEAT",
    "REPOSITORY",
    "Layout",
    "Program",
    "all_settings",
    "base_env",
    "programs",
    "settings_for",
    "supervisor_program",
]

REPOSITORY = dotenv.REPOSITORY

# Tarantool 2.6 cuts off names of files beyond 255 bytes.
_LONGEST_DIR = 200

HEARTBEAT = "TARANTKV_WORKER_HEARTBEAT_FILE"
"""The file that shows that a worker works, not only that its process exists."""

# COVERAGE_PROCESS_CONFIG is set while `make coverage` measures the servers that the tests start.
_INHERITED = ("COVERAGE_PROCESS_CONFIG", "HOME", "PATH", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    tier: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    stdin: Path | None = None
    """The file that it reads from standard input; None: it reads nothing."""


def programs(config: ClusterConfig, workers: int, shards: tuple[Program, ...] | None = None) -> tuple[Program, ...]:
    """All programs, in the order of starting. `shards` replaces the programs of the shards, for replica sets.

    Raises `ConfigError` when a server is not installed.
    """
    layout = Layout(config.data_dir)
    base = base_env()
    lanes = zip(config.redis_names, config.redis_ports, strict=True)
    return (
        *(_redis_program(config, layout, name, port, base) for name, port in lanes),
        *(shards or (_shard_program(config, layout, shard, base) for shard in config.shards)),
        *(_worker_program(config, f"worker-{number}", base) for number in range(1, workers + 1)),
        Program("api", "api", (sys.executable, "-m", "api"), base | settings_for(config, "api"), REPOSITORY),
    )


def supervisor_program(config: ClusterConfig, command: tuple[str, ...]) -> Program:
    return Program("supervisord", "supervisor", command, base_env(), config.data_dir)


def base_env() -> dict[str, str]:
    """The environment: it is the same from every shell, except for names of places on this machine."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def _redis_program(config: ClusterConfig, layout: Layout, name: str, port: int, base: Mapping[str, str]) -> Program:
    directory = layout.redis_dir_of(name)
    return Program(
        name,
        "redis",
        (_executable("redis-server"), *redis_conf.arguments(name, port)),
        {**base, **config.for_tier("redis")},
        directory,
        stdin=directory / "redis.conf",
    )


def _worker_program(config: ClusterConfig, name: str, base: Mapping[str, str]) -> Program:
    own = {HEARTBEAT: f"/proc/self/fd/{RUN_FD}/{name}.alive"}
    return Program(
        name, "worker", (sys.executable, "-m", "worker"), {**base, **own, **settings_for(config, "worker")}, REPOSITORY
    )


def _shard_program(config: ClusterConfig, layout: Layout, shard: Shard, base: Mapping[str, str]) -> Program:
    directory = layout.shard_dir(shard)
    own = {
        "TARANTKV_SHARD": shard.name,
        "TARANTKV_SHARD_LISTEN": shard.address,
        "TARANTKV_SHARD_DIR": str(directory) if len(os.fsencode(directory)) <= _LONGEST_DIR else "/proc/self/cwd",
        "TARANTKV_SHARD_CONSOLE": f"/proc/self/fd/{RUN_FD}/shard-{shard.name}.sock",
    }
    return Program(
        f"shard-{shard.name}",
        "shard",
        (_executable("tarantool"), str(REPOSITORY / "tarantool-cluster" / "init.lua")),
        {**base, **settings_for(config, "shard"), **own, **config.for_tier("shard")},
        directory,
    )


def _executable(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ConfigError(f"{name} is not installed (or not in PATH)")
    return str(Path(path).absolute())
