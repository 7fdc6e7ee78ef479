"""Redis as the system's own user sees it."""

from typing import Any

import redis

from localcluster.cluster import Cluster


def as_tarantkv(cluster: Cluster, **options: Any) -> redis.Redis:
    """A client of a cluster's Redis; `options` as `redis.Redis.from_url` takes them."""
    settings = cluster.settings
    return redis.Redis.from_url(
        cluster.redis_url,
        username=settings["TARANTKV_REDIS_USER"],
        password=settings["TARANTKV_REDIS_PASSWORD"],
        protocol=2,
        **options,
    )
