"""Another Redis server replaces the leader: a replica, a successor, or one that is loading its data."""

from __future__ import annotations

import time

from localcluster.cluster import Cluster
from tests.faults.injection import Injection
from tests.faults.injections_redis import Busy, ConnectionsKilled, OutOfMemory, Paused, ReadOnly
from tests.faults.network import CUT
from tests.faults.networked import Network
from tests.faults.second_redis import SecondRedis, administrator, credentials

_JUNK_KEYS = 400
_JUNK_BYTES = 32 * 1024
"""So many bytes that Redis serves its clients several times while it loads them: it does so after every 2 MiB."""


class FailedOver:
    """Redis dies, and a replica that missed the last writes replaces it."""

    name = "redis-failed-over"

    def __init__(self, network: Network, missing_s: float = 1.0) -> None:
        self._links = (network.api_redis, network.worker_redis)
        self._missing_s = missing_s
        self._replica: SecondRedis | None = None

    def start(self, cluster: Cluster) -> None:
        """Cut the replica off, wait, kill the leader, and lead all clients to the replica."""
        self.cut_replica_off(cluster)
        # The fault is that the replica misses writes: check that it does.
        time.sleep(self._missing_s)
        self.replace_leader(cluster)

    def cut_replica_off(self, cluster: Cluster) -> None:
        """Give the leader a replica that has all writes up to now and none that follows."""
        replica = self._replica = SecondRedis(cluster)
        replica.start()
        replica.follow(cluster.config.redis_port)
        replica.promote()

    def replace_leader(self, cluster: Cluster) -> None:
        """Kill the leader, and lead all clients to the replica."""
        if self._replica is None:
            raise AssertionError("there is no replica")
        for link in self._links:
            link.set(CUT)
        cluster.kill("redis")
        for link in self._links:
            link.lead_to(self._replica.address)
            link.heal()

    def stop(self, cluster: Cluster) -> None:
        """Lead all clients back to the cluster's own Redis, which is empty."""
        if self._replica is not None:
            cluster.wait_running("redis")
            for link in self._links:
                link.lead_to(("127.0.0.1", cluster.config.redis_port))
                link.heal()
            self._replica.remove()
            self._replica = None


class Demoted:
    """Another server has become the leader. Old connections stay with the former leader, which is a replica now.

    `cut_off`: the former leader cannot reach the new one, so that it gets no new writes.
    """

    def __init__(self, network: Network, *, cut_off: bool = False) -> None:
        self.name = "redis-demoted-cut-off" if cut_off else "redis-demoted"
        self._links = (network.api_redis, network.worker_redis)
        self._cut_off = cut_off
        self._successor: SecondRedis | None = None

    def start(self, cluster: Cluster) -> None:
        """Switch their roles; new connections lead to the new leader."""
        successor = self._successor = SecondRedis(cluster)
        successor.start()
        successor.follow(cluster.config.redis_port)
        with administrator(cluster) as client:
            for name, value in credentials(cluster).items():
                client.config_set(name, value)
            successor.promote()
            host, port = successor.address
            client.replicaof(host, 1 if self._cut_off else port)
        for link in self._links:
            link.lead_to(successor.address, reset=False)

    def stop(self, cluster: Cluster) -> None:
        """Switch the roles back, and kill the successor."""
        if self._successor is not None:
            with administrator(cluster) as client:
                client.replicaof("NO", "ONE")
            for link in self._links:
                link.lead_to(("127.0.0.1", cluster.config.redis_port))
            self._successor.remove()
            self._successor = None


class Loading:
    """Redis is replaced by a server that has just started and loads its data: it answers `LOADING`.

    After loading it has none of the system's data. At the end the former server returns, with its old data.
    """

    name = "redis-loading"

    def __init__(self, network: Network, seconds: float = 4.0) -> None:
        self._links = (network.api_redis, network.worker_redis)
        self._seconds = seconds
        self._other: SecondRedis | None = None

    def start(self, cluster: Cluster) -> None:
        """Give the server data to load, restart it, and lead all clients there."""
        other = self._other = SecondRedis(cluster)
        other.start("rdbcompression no")
        with administrator(cluster, other.port) as client:
            client.mset({f"junk:{number}": bytes(_JUNK_BYTES) for number in range(_JUNK_KEYS)})
            client.save()
        other.stop()
        other.start(f"key-load-delay {int(self._seconds / _JUNK_KEYS * 1e6)}")
        for link in self._links:
            link.lead_to(other.address)

    def stop(self, cluster: Cluster) -> None:
        """Lead all clients back."""
        if self._other is not None:
            for link in self._links:
                link.lead_to(("127.0.0.1", cluster.config.redis_port))
            self._other.remove()
            self._other = None


def redis_faults(network: Network) -> tuple[Injection, ...]:
    """One of each fault of Redis."""
    return (
        Paused(),
        OutOfMemory(),
        ReadOnly(),
        Busy(),
        ConnectionsKilled("worker"),
        ConnectionsKilled("api-send"),
        ConnectionsKilled("api-read"),
        FailedOver(network),
        Demoted(network),
        Demoted(network, cut_off=True),
        Loading(network),
    )
