"""The programs of a cluster: how each is called, with which arguments, environment and files. Starts nothing."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster import dotenv
from localcluster.config import REDIS_USER, REDIS_WORKER_USER, ClusterConfig, ConfigError, Shard, shard_dir
from protocol.settings import known_variables, variables_of

REPOSITORY = dotenv.REPOSITORY
MARKER = "LOCALCLUSTER_DATA"
"""Set for every process of a cluster, so that one left behind by a crash can be told from anybody else's."""

_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")
# A socket's path must fit into 108 bytes (104 on BSD) with its closing zero.
_SOCKET_PATH_LIMIT = 100


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    tier: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True)
class Layout:
    """Where everything of one cluster lies."""

    data_dir: Path

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def redis_dir(self) -> Path:
        return self.data_dir / "redis"

    def shard_dir(self, shard: Shard) -> Path:
        return shard_dir(self.data_dir, shard.name)

    def spec(self, name: str) -> Path:
        return self.run_dir / f"{name}.json"

    def pid_file(self, name: str) -> Path:
        return self.run_dir / f"{name}.pid"

    def log(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    @property
    def marker(self) -> str:
        return f"{MARKER}={self.data_dir}"

    def socket(self, name: str) -> Path:
        """Beside the other files where the path is short enough, else in a private directory of this user's."""
        usual = self.run_dir / f"{name}.sock"
        if len(os.fsencode(usual)) <= _SOCKET_PATH_LIMIT:
            return usual
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return _private_dir(f"tarantkv-{os.getuid()}") / f"{digest}-{name}.sock"

    def make(self, config: ClusterConfig) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for path in (self.run_dir, self.log_dir, self.redis_dir, *map(self.shard_dir, config.shards)):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)


def programs(config: ClusterConfig, workers: int) -> tuple[Program, ...]:
    """All programs, in the order of starting. Raises `ConfigError` when a server is not installed."""
    layout = Layout(config.data_dir)
    base = _base_env(config)
    for_worker = base | settings_for(config, "worker")
    return (
        Program(
            "redis",
            "redis",
            (_executable("redis-server"), str(layout.redis_dir / "redis.conf")),
            base | dict(config.for_tier("redis")),
            layout.redis_dir,
        ),
        *(_shard_program(config, layout, shard, base) for shard in config.shards),
        *(
            Program(f"worker-{number}", "worker", (sys.executable, "-m", "worker"), for_worker, REPOSITORY)
            for number in range(1, workers + 1)
        ),
        Program("api", "api", (sys.executable, "-m", "api"), base | settings_for(config, "api"), REPOSITORY),
    )


def settings_for(config: ClusterConfig, tier: str) -> dict[str, str]:
    """`TARANTKV_*` of a tier. What only others read is left out: no program holds a secret that it does not need.

    Names that nobody knows are passed on, since each program refuses them, and so a misspelt one is found.
    """
    foreign = known_variables() - variables_of(tier)
    every = all_settings(config)
    of_worker = {
        REDIS_USER: every.pop(REDIS_WORKER_USER),
        dotenv.REDIS_PASSWORD: every.pop(dotenv.REDIS_WORKER_PASSWORD),
    }
    if tier == "worker":
        every |= of_worker
    shared = {name: value for name, value in every.items() if name not in foreign}
    if "TARANTKV_REDIS_URL" in shared:
        # On one machine a unix socket costs both ends far less than a TCP connection.
        shared["TARANTKV_REDIS_URL"] = f"unix://{Layout(config.data_dir).socket('redis')}?db=0"
    return shared | dict(config.for_tier(tier))


def all_settings(config: ClusterConfig) -> dict[str, str]:
    """`TARANTKV_*` as given, with the addresses of this cluster."""
    missing = [name for name in dotenv.random_secrets() if not config.settings.get(name)]
    if missing:
        raise ConfigError(f"missing settings: {', '.join(missing)}")
    return {
        "TARANTKV_HOST": "127.0.0.1",
        REDIS_USER: "tarantkv",
        REDIS_WORKER_USER: "tarantkv-worker",
        "TARANTKV_STORE_USER": "tarantkv",
        **config.settings,
        "TARANTKV_PORT": str(config.api_port),
        "TARANTKV_REDIS_URL": f"redis://127.0.0.1:{config.redis_port}/0",
        "TARANTKV_SHARDS": ";".join(f"{shard.name}={shard.address}" for shard in config.shards),
    }


def supervisor_program(config: ClusterConfig, command: tuple[str, ...]) -> Program:
    return Program("supervisord", "supervisor", command, _base_env(config), config.data_dir)


def write_files(config: ClusterConfig, all_programs: tuple[Program, ...]) -> None:
    """Write the Redis configuration and what the launcher needs to start each program."""
    layout = Layout(config.data_dir)
    layout.make(config)
    _write_private(layout.redis_dir / "redis.conf", _redis_conf(config, layout))
    for program in all_programs:
        _write_private(layout.spec(program.name), _spec(config, layout, program))


def differing(config: ClusterConfig, all_programs: tuple[Program, ...]) -> list[str]:
    """Names of the programs that `write_files` would give other arguments or another environment."""
    layout = Layout(config.data_dir)
    return [
        program.name
        for program in all_programs
        if not layout.spec(program.name).exists()
        or layout.spec(program.name).read_text() != _spec(config, layout, program)
    ]


def _spec(config: ClusterConfig, layout: Layout, program: Program) -> str:
    spec = {
        "argv": program.argv,
        "env": dict(program.env),
        "cwd": str(program.cwd),
        "pid_file": str(layout.pid_file(program.name)),
        "marker": layout.marker,
        "die_with_parent": config.owned or program.tier != "supervisor",
    }
    return json.dumps(spec, sort_keys=True, indent=1)


def _base_env(config: ClusterConfig) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {MARKER: str(config.data_dir), "PYTHONUNBUFFERED": "1"}


def _shard_program(config: ClusterConfig, layout: Layout, shard: Shard, base: Mapping[str, str]) -> Program:
    own = {
        "TARANTKV_SHARD": shard.name,
        "TARANTKV_SHARD_LISTEN": shard.address,
        "TARANTKV_SHARD_DIR": str(layout.shard_dir(shard)),
        "TARANTKV_SHARD_CONSOLE": str(layout.socket(f"shard-{shard.name}")),
    }
    return Program(
        f"shard-{shard.name}",
        "shard",
        (_executable("tarantool"), str(REPOSITORY / "tarantool-cluster" / "init.lua")),
        {**base, **settings_for(config, "shard"), **own, **config.for_tier("shard")},
        layout.shard_dir(shard),
    )


def _redis_conf(config: ClusterConfig, layout: Layout) -> str:
    """Nothing on disk, an error instead of eviction, and a user for each tier; the file knows only digests."""
    return "\n".join(
        [
            "bind 127.0.0.1",
            f"port {config.redis_port}",
            f'unixsocket "{layout.socket("redis")}"',
            "unixsocketperm 700",
            "daemonize no",
            f'dir "{layout.redis_dir}"',
            'save ""',
            "appendonly no",
            f"maxmemory {config.redis_memory_mib}mb",
            "maxmemory-policy noeviction",
            "user default off",
            *_redis_users(config),
            "",
        ]
    )


def _redis_users(config: ClusterConfig) -> list[str]:
    """A line for each user; what api and workers may do is the same as in a container."""
    users = [
        (settings_for(config, tier), (REPOSITORY / "docker" / f"redis_{tier}.acl").read_text().strip())
        for tier in ("api", "worker")
    ]
    if config.redis_administrator:
        users.append((all_settings(config), "~* +@all"))
    digests = [hashlib.sha256(settings[dotenv.REDIS_PASSWORD].encode()).hexdigest() for settings, _ in users]
    return [
        f"user {settings[REDIS_USER]} on #{digest} {rights}"
        for (settings, rights), digest in zip(users, digests, strict=True)
    ]


def _executable(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ConfigError(f"{name} is not installed (or not in PATH)")
    return path


def _write_private(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    scratch.replace(path)


def _private_dir(name: str) -> Path:
    """A directory directly under the system's, of a name that anybody can guess: so it must be ours alone."""
    path = Path("/tmp") / name  # noqa: S108  TMPDIR may be as long as the path that is to be avoided
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(f"{path} belongs to somebody else or is open to others")
    return path
