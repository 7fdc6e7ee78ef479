"""Redis as the system's own user sees it."""

from typing import Any

import redis

from localcluster.cluster import Cluster


def as_tarantkv(cluster: Cluster, *, lane: int = 0, **options: Any) -> redis.Redis:
    """A client of a cluster's Redis, the first unless `lane` says another; `options` as `redis.Redis.from_url`'s."""
    settings = cluster.settings
    return redis.Redis.from_url(
        f"redis://127.0.0.1:{cluster.config.redis_ports[lane]}/0",
        username=settings["TARANTKV_REDIS_USER"],
        password=settings["TARANTKV_REDIS_PASSWORD"],
        protocol=2,
        **options,
    )
