"""What a cluster consists of: its data directory, its ports, its numbers, its settings. It has no behaviour."""

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from localcluster import capacity, dotenv
from localcluster.ports import free_ports
from protocol.settings import (
    CLIENT_VARIABLES,
    HttpSettings,
    SettingsError,
    WorkerSettings,
    load,
    parse_shards,
    variable,
)
from protocol.settings.cross_checks import END_S
from protocol.settings.redis import parse_addresses

TEST_COMPILED = "TARANTKV_TEST_COMPILED"
"""What the clusters of tests have as `TARANTKV_COMPILED`: they test the sources, whatever is compiled beside them."""

API_PORT = 8081
REDIS_PORT = 7379
FIRST_SHARD_PORT = 13301
"""Neither the port of a system service nor one that Linux uses as a source port (see `ports`)."""

MOST_SHARDS = 8
USUAL_WORKERS = 2
_SHARD_NAME = re.compile(r"s([1-9]\d?)")

REDIS_USER = "TARANTKV_REDIS_USER"
REDIS_WORKER_USER = "TARANTKV_REDIS_WORKER_USER"
REDIS_MEMORY = "TARANTKV_REDIS_MEMORY_MIB"
WORKER_PROCESSES = "TARANTKV_WORKER_PROCESSES"
REDIS_MEMORY_MIB = 512
MIN_REDIS_MEMORY_MIB = 64

TIERS = ("redis", "shard", "worker", "api")
"""In the order of starting; they stop in the opposite order."""

_OF_WORKERS = frozenset({REDIS_WORKER_USER, dotenv.REDIS_WORKER_PASSWORD})
"""The settings for the workers' Redis user; the workers themselves get them as `TARANTKV_REDIS_USER` and its
password."""

_LOCAL_HOSTS = ("127.0.0.1", "localhost")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ConfigError(ValueError):
    """A setting that a cluster on one machine cannot have."""


@dataclass(frozen=True)
class Shard:
    """One shard, which is one instance on one machine; or one instance of a replica set."""

    name: str
    port: int
    replica_set: str = ""
    """The shard to which the instance belongs; empty: it is the shard itself."""
    host: str = "127.0.0.1"
    """Another address of this machine, if the instance has its own."""

    @property
    def shard(self) -> str:
        """The name of the shard, as the settings and the instance itself say it."""
        return self.replica_set or self.name

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ClusterConfig:
    """Everything that `Cluster` needs to know."""

    data_dir: Path
    """Absolute path of the configuration, logs and data of all programs. It survives a stop."""
    settings: Mapping[str, str]
    """`TARANTKV_*` for every program: at least the secrets that `dotenv.random_secrets` names."""
    shards: tuple[Shard, ...]
    redis_ports: tuple[int, ...] = (REDIS_PORT,)
    """One for each lane."""
    api_port: int = API_PORT
    workers: int = USUAL_WORKERS
    redis_administrator: bool = False
    """True: the Redis user of `settings` is an administrator, and `tier_settings` gives the api its own user."""
    tier_settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """More environment for one tier (see `TIERS`); it has priority over `settings`."""
    redis_memory_mib: int = REDIS_MEMORY_MIB
    """Redis answers with an error beyond this; the api's limits keep it far below."""
    start_timeout_s: float = 90.0
    """From the start of the first program until the api is ready; longer than the api itself waits for the others."""
    stop_timeout_s: float = 20.0
    """How long one program may take to stop before it is killed; longer than the drains of api and workers."""
    owned: bool = False
    """True: everything stops when the process (thread) that called `start` ends, however it ends."""

    @property
    def redis_port(self) -> int:
        """The port of the first Redis."""
        return self.redis_ports[0]

    @property
    def redis_names(self) -> tuple[str, ...]:
        """The programs of the lanes: `redis`, `redis-2`, and so on."""
        return ("redis", *(f"redis-{number}" for number in range(2, len(self.redis_ports) + 1)))

    def for_tier(self, tier: str) -> Mapping[str, str]:
        return self.tier_settings.get(tier, _NOTHING)


def for_machine(root: Path) -> ClusterConfig:
    """The cluster of `make up`: fixed ports, with `.data/` and `.env` in the repository.

    The process's own environment has priority over `.env`, as in Docker Compose. Raises `ConfigError` or
    `dotenv.DotenvError`, in one line.
    """
    dotenv.ensure(root / ".env")
    settings = {**dotenv.read(root / ".env"), **os.environ}
    settings = {name: value for name, value in settings.items() if name.startswith("TARANTKV_") and value.strip()}
    redis_memory = settings.get(REDIS_MEMORY)
    workers = settings.get(WORKER_PROCESSES)
    data_dir = root / ".data"
    return ClusterConfig(
        data_dir=data_dir,
        settings={name: value for name, value in settings.items() if name not in CLIENT_VARIABLES - _OF_WORKERS},
        shards=_shards_of(settings.get("TARANTKV_SHARDS", "")) or _usual_shards(data_dir),
        redis_ports=_redis_ports_of(settings.get("TARANTKV_REDIS_URL", "")),
        api_port=_port("TARANTKV_PORT", settings.get("TARANTKV_PORT", str(API_PORT))),
        workers=worker_count(workers) if workers else USUAL_WORKERS,
        # Redis does not read the environment; the setting is there so that a change of it is noticed.
        tier_settings={"redis": {REDIS_MEMORY: redis_memory}} if redis_memory else {},
        redis_memory_mib=_mebibytes(REDIS_MEMORY, redis_memory) if redis_memory else REDIS_MEMORY_MIB,
        stop_timeout_s=_stop_timeout_s(settings),
    )


def for_tests(
    data_dir: Path,
    *,
    shards: int = 3,
    workers: int = 2,
    lanes: int = 1,
    settings: Mapping[str, str] = _NOTHING,
    tier_settings: Mapping[str, Mapping[str, str]] | None = None,
) -> ClusterConfig:
    """A small cluster beside others: it has random ports and secrets, and ends with the process that started it.

    The Redis user of its settings is an administrator, for tests that look into Redis or damage it.
    """
    api_port, *others = free_ports(1 + lanes + shards)
    redis_ports, shard_ports = tuple(others[:lanes]), others[lanes:]
    tiers = {tier: dict(values) for tier, values in (tier_settings or {}).items()}
    tiers["shard"] = {"TARANTKV_SHARD_MEMORY_MIB": "256", **tiers.get("shard", {})}
    of_api = {REDIS_USER: "tarantkv-api", dotenv.REDIS_PASSWORD: secrets.token_urlsafe(18)}
    tiers["api"] = {"TARANTKV_API_PROCESSES": "1", **of_api, **tiers.get("api", {})}
    return ClusterConfig(
        data_dir=data_dir,
        settings={
            **dotenv.random_secrets(),
            dotenv.ADMIN_PASSWORD: secrets.token_urlsafe(18),
            variable("compiled"): os.environ.get(TEST_COMPILED, "off"),
            **settings,
        },
        shards=tuple(Shard(f"s{number}", port) for number, port in enumerate(shard_ports, start=1)),
        redis_ports=redis_ports,
        api_port=api_port,
        workers=workers,
        redis_administrator=True,
        tier_settings=tiers,
        redis_memory_mib=256,
        start_timeout_s=45.0,
        owned=True,
    )


def shard_dir(data_dir: Path, shard: str) -> Path:
    """The directory of a shard's data."""
    return data_dir / "shards" / shard


def usual_shard_count(processors: int) -> int:
    """One shard for every two processors, at least 2 and at most `MOST_SHARDS`.

    A shard's thread uses one processor, and the api needs as many. More shards only divide batches into smaller chunks:
    on two processors, three shards cost a fifth more than two for batches of 1 to 10 keys (docs/performance.md).
    """
    return min(max(2, processors // 2), MOST_SHARDS)


def overridden(root: Path) -> list[str]:
    """Settings whose value in the process's environment differs from that in `.env`: perhaps meant for another
    clone.
    """
    written = dotenv.read(root / ".env")
    return sorted(
        name
        for name, value in os.environ.items()
        if name.startswith("TARANTKV_") and value.strip() and name in written and value != written[name]
    )


def worker_count(text: str) -> int:
    """A number of workers that this machine can run. Raises `ConfigError`, which names the limit."""
    most, why = capacity.most_workers()
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text) <= most:
        raise ConfigError(f"{text!r} workers: this machine runs 1 to {most} ({why})")
    return int(text)


def _usual_shards(data_dir: Path) -> tuple[Shard, ...]:
    """The shards that have data, because a shard's buckets do not change; without data, by the number of processors."""
    found = (_SHARD_NAME.fullmatch(path.name) for path in shard_dir(data_dir, "").glob("*"))
    there = max((int(match[1]) for match in found if match), default=0)
    count = there or usual_shard_count(len(os.sched_getaffinity(0)))
    return tuple(Shard(f"s{number}", FIRST_SHARD_PORT + number - 1) for number in range(1, count + 1))


def _shards_of(text: str) -> tuple[Shard, ...]:
    shards = []
    for name, instances in _parsed(text).items() if text else ():
        host, port = instances[0]
        if len(instances) > 1 or host not in _LOCAL_HOSTS:
            raise ConfigError(f"TARANTKV_SHARDS: {name}: on one machine a shard is one instance on 127.0.0.1")
        shards.append(Shard(name, port))
    return tuple(shards)


def _parsed(text: str) -> dict[str, tuple[tuple[str, int], ...]]:
    try:
        return parse_shards(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _redis_ports_of(urls: str) -> tuple[int, ...]:
    if not urls:
        return (REDIS_PORT,)
    try:
        addresses = parse_addresses(urls)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if any(address.tls or address.database or address.host not in _LOCAL_HOSTS for address in addresses):
        raise ConfigError("TARANTKV_REDIS_URL: on one machine each address is redis://127.0.0.1:port/0")
    ports = tuple(address.port for address in addresses)
    if len(set(ports)) < len(ports):
        raise ConfigError("TARANTKV_REDIS_URL: two lanes have one port")
    return ports if len(ports) > 1 or urlsplit(urls).port else (REDIS_PORT,)


def _port(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise ConfigError(f"{name}: {text!r} is not a port")
    return int(text)


def _mebibytes(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < MIN_REDIS_MEMORY_MIB:
        raise ConfigError(f"{name}: {text!r} is not a number of {MIN_REDIS_MEMORY_MIB} or more")
    return int(text)


def _stop_timeout_s(settings: Mapping[str, str]) -> float:
    """Longer than the drains. A wrong value is refused by the program that reads it, and ignored here."""
    drains: list[float] = []
    for concern, names in (
        (HttpSettings, ("drain_delay_s", "drain_timeout_s")),
        (WorkerSettings, ("worker_drain_timeout_s",)),
    ):
        with contextlib.suppress(SettingsError):
            given = load(concern, {variable(name): settings.get(variable(name), "") for name in names}).given()
            drains.append(sum(given[name] for name in names))
    usual: float = ClusterConfig.stop_timeout_s
    return max([usual, *(drain + 2 * END_S for drain in drains)])
