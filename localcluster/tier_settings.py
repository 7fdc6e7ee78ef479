"""Which settings each tier of a cluster gets. It reads and writes nothing."""

import os
from urllib.parse import quote

from localcluster import dotenv
from localcluster.config import REDIS_USER, REDIS_WORKER_USER, ClusterConfig, ConfigError
from localcluster.layout import Layout
from protocol.settings import known_variables, variables_of

# A socket's path must fit into 108 bytes with its closing zero.
_SOCKET_PATH_LIMIT = 107


def settings_for(config: ClusterConfig, tier: str) -> dict[str, str]:
    """The `TARANTKV_*` of a tier, without those that only others read: no program gets a secret that it does not need.

    Unknown names are passed on: each program refuses them, and so a misspelt one is found.
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
        shared["TARANTKV_REDIS_URL"] = _redis_url(config)
    return shared | dict(config.for_tier(tier))


def all_settings(config: ClusterConfig) -> dict[str, str]:
    """The given `TARANTKV_*`, with the addresses of this cluster."""
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
        "TARANTKV_REDIS_URL": ",".join(f"redis://127.0.0.1:{port}/0" for port in config.redis_ports),
        "TARANTKV_SHARDS": _shard_list(config),
    }


def _shard_list(config: ClusterConfig) -> str:
    instances: dict[str, list[str]] = {}
    for shard in config.shards:
        instances.setdefault(shard.shard, []).append(shard.address)
    return ";".join(f"{name}={','.join(addresses)}" for name, addresses in instances.items())


def _redis_url(config: ClusterConfig) -> str:
    """A unix socket costs both ends far less than a TCP connection; TCP is used if the socket's path is too long."""
    layout = Layout(config.data_dir)
    urls = []
    for name, port in zip(config.redis_names, config.redis_ports, strict=True):
        socket = layout.socket(name)
        too_long = len(os.fsencode(socket)) > _SOCKET_PATH_LIMIT
        urls.append(f"redis://127.0.0.1:{port}/0" if too_long else f"unix://{quote(os.fsencode(socket))}?db=0")
    return ",".join(urls)
