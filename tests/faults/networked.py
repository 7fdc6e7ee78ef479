"""A cluster whose tiers talk to each other through links that can be broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from localcluster.cluster import Cluster
from localcluster.config import ClusterConfig, for_tests
from tests.faults.network import Link, Proxy

_SHARDS = ("s1", "s2", "s3")
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Network:
    """The links of a cluster, by the tiers that they connect, with names such as `api-redis` and `worker-s1`."""

    client_api: Link
    api_redis: Link
    worker_redis: Link
    worker_shard: Mapping[str, Link]
    """By shard."""

    @property
    def links(self) -> tuple[Link, ...]:
        """All links."""
        return (self.client_api, self.api_redis, self.worker_redis, *self.worker_shard.values())

    def heal(self) -> None:
        """Make every link whole."""
        for link in self.links:
            link.heal()


@dataclass(frozen=True)
class Networked:
    """A cluster and its links."""

    cluster: Cluster
    network: Network

    @property
    def base_url(self) -> str:
        """The api, behind the link of its clients."""
        return f"http://{self.network.client_api.address}"


@contextmanager
def networked_cluster(data_dir: Path, settings: Mapping[str, str] = _NO_SETTINGS) -> Iterator[Networked]:
    """A running cluster of three shards and two workers, all links whole."""
    proxy = Proxy()
    try:
        network = Network(
            proxy.link("client-api"),
            proxy.link("api-redis"),
            proxy.link("worker-redis"),
            {shard: proxy.link(f"worker-{shard}") for shard in _SHARDS},
        )
        cluster = Cluster(_config(data_dir, network, settings))
        network.client_api.lead_to(("127.0.0.1", cluster.config.api_port))
        for link in (network.api_redis, network.worker_redis):
            link.lead_to(("127.0.0.1", cluster.config.redis_port))
        for shard in cluster.config.shards:
            network.worker_shard[shard.name].lead_to(("127.0.0.1", shard.port))
        cluster.start()
        try:
            yield Networked(cluster, network)
        finally:
            network.heal()
            cluster.stop()
    finally:
        proxy.close()


def _config(data_dir: Path, network: Network, settings: Mapping[str, str]) -> ClusterConfig:
    shards = ";".join(f"{name}={link.address}" for name, link in network.worker_shard.items())
    return for_tests(
        data_dir,
        shards=len(_SHARDS),
        settings=settings,
        tier_settings={
            "shard": {"TARANTKV_COUNT_APPLICATIONS": "true"},
            "api": {"TARANTKV_REDIS_URL": f"redis://{network.api_redis.address}/0"},
            "worker": {"TARANTKV_REDIS_URL": f"redis://{network.worker_redis.address}/0", "TARANTKV_SHARDS": shards},
        },
    )
