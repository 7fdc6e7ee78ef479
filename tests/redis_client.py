"""Redis with the rights of the system's user."""

from typing import Any

import redis

from localcluster.cluster import Cluster


def as_tarantkv(cluster: Cluster, *, lane: int = 0, **options: Any) -> redis.Redis:
    """A client of a cluster's Redis, by default the first lane; `options` are those of `redis.Redis.from_url`."""
    settings = cluster.settings
    return redis.Redis.from_url(
        f"redis://127.0.0.1:{cluster.config.redis_ports[lane]}/0",
        username=settings["TARANTKV_REDIS_USER"],
        password=settings["TARANTKV_REDIS_PASSWORD"],
        protocol=2,
        **options,
    )
