"""Which concerns of settings there are, and which tiers read each."""

from __future__ import annotations

from protocol.settings.auth import AuthSettings
from protocol.settings.base import Settings, variable
from protocol.settings.batch import BatchSettings
from protocol.settings.cluster import ClusterSettings
from protocol.settings.compiled import CompiledSettings
from protocol.settings.http import HttpSettings
from protocol.settings.logs import LogSettings
from protocol.settings.redis import RedisSettings
from protocol.settings.shard import ShardSettings
from protocol.settings.store import StoreSettings
from protocol.settings.traces import TraceSettings
from protocol.settings.worker import WorkerSettings

CONCERNS: dict[type[Settings], str] = {
    ClusterSettings: "api, worker, shard",
    RedisSettings: "api, worker",
    StoreSettings: "worker, shard",
    LogSettings: "api, worker, shard",
    CompiledSettings: "api, worker",
    HttpSettings: "api",
    AuthSettings: "api",
    BatchSettings: "api",
    TraceSettings: "api",
    WorkerSettings: "worker",
    ShardSettings: "shard",
}
"""Every concern, and the processes that read it. Some settings are in several concerns, because tiers must agree on
them."""

TIERS = ("api", "worker", "shard")

CLIENT_VARIABLES = frozenset(
    {
        "TARANTKV_CLUSTER_API_PORT",
        "TARANTKV_CLUSTER_FIRST_PORT",
        "TARANTKV_CLUSTER_PASSWORD",
        "TARANTKV_CLUSTER_REDIS_PORT",
        "TARANTKV_CLUSTER_TARANTOOL",
        "TARANTKV_CLUSTER_VSHARD",
        "TARANTKV_GRAFANA_IMAGE",
        "TARANTKV_NEW_PASSWORD",
        "TARANTKV_NGINX_IMAGE",
        "TARANTKV_PASSWORD",
        "TARANTKV_PROFILE",
        "TARANTKV_PROMETHEUS_IMAGE",
        "TARANTKV_PUBLISH",
        "TARANTKV_REDIS_IMAGE",
        "TARANTKV_REDIS_MEMORY_LIMIT",
        "TARANTKV_REDIS_MEMORY_MIB",
        "TARANTKV_REDIS_WORKER_PASSWORD",
        "TARANTKV_REDIS_WORKER_USER",
        "TARANTKV_SHARD_MEMORY_LIMIT",
        "TARANTKV_TARANTOOL_IMAGE",
        "TARANTKV_TEST_COMPILED",
        "TARANTKV_TEST_TARANTOOL",
        "TARANTKV_TEST_URL",
        "TARANTKV_TEST_VSHARD",
        "TARANTKV_TOKEN",
        "TARANTKV_URL",
        "TARANTKV_USER",
        "TARANTKV_WORKER_PROCESSES",
    }
)
"""Variables that no process reads as a setting: `api.manage`, `localcluster`, `clusterctl`, the client, the compose
file or a test reads them."""


def fields_of(tier: str) -> frozenset[str]:
    """The name of every field that a tier reads."""
    return frozenset(
        name
        for concern, readers in CONCERNS.items()
        if tier in readers.split(", ")
        for name in concern.__struct_fields__
    )


def variables_of(tier: str) -> frozenset[str]:
    """Every variable that a tier reads."""
    return frozenset(map(variable, fields_of(tier)))


def known_variables() -> frozenset[str]:
    """Every variable that is a setting of some tier."""
    return frozenset().union(*map(variables_of, TIERS))
