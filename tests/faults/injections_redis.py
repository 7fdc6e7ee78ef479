"""What Redis itself does to those who need it, besides dying and standing still (those are `injections_processes`)."""

from __future__ import annotations

import contextlib
import threading
import time

import redis

from localcluster.cluster import Cluster
from tests.faults.injection import Injection
from tests.faults.network import CUT
from tests.faults.networked import Network
from tests.faults.second_redis import SecondRedis, administrator, credentials

_TIMEOUT_S = 60.0
_JUNK_KEYS = 400
_JUNK_BYTES = 32 * 1024
"""So much that Redis looks at its clients several times while it loads them: it does after every two mebibytes."""

_NOBODYS_PORT = 1
_USUAL_SCRIPT_LIMIT_MS = 5000
_KILL_EVERY_S = 0.05


class Paused:
    """`CLIENT PAUSE`: commands are taken and wait, for as long as is said in advance."""

    name = "redis-paused"

    def __init__(self, seconds: float = 4.0) -> None:
        self._seconds = seconds

    def start(self, cluster: Cluster) -> None:
        """Begin the pause."""
        with administrator(cluster) as client:
            client.client_pause(int(self._seconds * 1000))

    def stop(self, cluster: Cluster) -> None:
        """Wait for its end: nobody can end it sooner, since the administrator's commands wait as well."""
        with administrator(cluster) as client:
            client.ping()


class OutOfMemory:
    """`maxmemory` is reached: whatever needs memory is refused with `OOM`, what frees some is not."""

    name = "redis-out-of-memory"

    def __init__(self) -> None:
        self._before: str | None = None

    def start(self, cluster: Cluster) -> None:
        """Lower the limit below what is used."""
        with administrator(cluster) as client:
            self._before = client.config_get("maxmemory")["maxmemory"]
            client.config_set("maxmemory", 1)

    def stop(self, cluster: Cluster) -> None:
        """Raise it to what it was."""
        if self._before is not None:
            with administrator(cluster) as client:
                client.config_set("maxmemory", self._before)
            self._before = None


class ReadOnly:
    """Redis has become a replica, of a leader that is not there: writes are refused with `READONLY`."""

    name = "redis-read-only"

    def start(self, cluster: Cluster) -> None:
        """Make it a replica; it keeps its data as long as it finds no leader."""
        with administrator(cluster) as client:
            client.replicaof("127.0.0.1", _NOBODYS_PORT)

    def stop(self, cluster: Cluster) -> None:
        """Make it the leader again."""
        with administrator(cluster) as client:
            client.replicaof("NO", "ONE")


class Busy:
    """Somebody's script does not end: everything is refused with `BUSY`."""

    name = "redis-busy"

    def __init__(self) -> None:
        self._script: threading.Thread | None = None

    def start(self, cluster: Cluster) -> None:
        """Run the script, and wait until Redis complains about it."""
        with administrator(cluster) as client:
            client.config_set("lua-time-limit", 1)
        self._script = threading.Thread(target=self._run, args=(cluster,), daemon=True)
        self._script.start()
        with administrator(cluster) as client, contextlib.suppress(redis.ResponseError):
            while True:
                client.ping()

    def stop(self, cluster: Cluster) -> None:
        """Kill the script."""
        if self._script is None:
            return
        with administrator(cluster) as client:
            # Whoever is not at it yet cannot be killed: NOTBUSY.
            while self._script.is_alive():
                with contextlib.suppress(redis.ResponseError):
                    client.script_kill()
                self._script.join(0.05)
            client.config_set("lua-time-limit", _USUAL_SCRIPT_LIMIT_MS)
        self._script = None

    def _run(self, cluster: Cluster) -> None:
        with administrator(cluster) as client, contextlib.suppress(redis.RedisError):
            client.eval("while true do end", 0)


class ConnectionsKilled:
    """The connections of one kind of client are killed, again and again, as soon as they are there."""

    def __init__(self, client_name: str = "worker") -> None:
        self.name = f"redis-kills-{client_name}"
        self.killed = 0
        self._client_name = client_name
        self._enough = threading.Event()
        self._killer: threading.Thread | None = None

    def start(self, cluster: Cluster) -> None:
        """Begin to kill."""
        self._enough.clear()
        self._killer = threading.Thread(target=self._kill, args=(cluster,), daemon=True)
        self._killer.start()

    def stop(self, _: Cluster) -> None:
        """Stop killing."""
        self._enough.set()
        if self._killer is not None:
            self._killer.join(_TIMEOUT_S)

    def _kill(self, cluster: Cluster) -> None:
        with administrator(cluster) as client:
            while not self._enough.wait(_KILL_EVERY_S):
                for info in client.client_list():
                    if info["name"] == self._client_name:
                        self.killed += client.client_kill_filter(_id=info["id"])


class Emptied:
    """`FLUSHALL`, twice a second: all data is gone, and no connection breaks."""

    name = "redis-emptied"

    def __init__(self, every_s: float = 0.5) -> None:
        self._every_s = every_s
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, cluster: Cluster) -> None:
        """Begin to empty it."""
        self._enough.clear()
        self._thread = threading.Thread(target=self._empty, args=(cluster,), daemon=True)
        self._thread.start()

    def stop(self, _: Cluster) -> None:
        """Stop."""
        self._enough.set()
        if self._thread is not None:
            self._thread.join(_TIMEOUT_S)
            self._thread = None

    def _empty(self, cluster: Cluster) -> None:
        with administrator(cluster) as client:
            while True:
                client.flushall()
                if self._enough.wait(self._every_s):
                    return


class FailedOver:
    """Redis dies, and a replica takes its place that has missed the last moments before."""

    name = "redis-failed-over"

    def __init__(self, network: Network, missing_s: float = 1.0) -> None:
        self._links = (network.api_redis, network.worker_redis)
        self._missing_s = missing_s
        self._replica: SecondRedis | None = None

    def start(self, cluster: Cluster) -> None:
        """Cut the replica off, wait, kill the leader, and lead everybody to the replica."""
        replica = self._replica = SecondRedis(cluster)
        replica.start()
        replica.follow(cluster.config.redis_port)
        replica.promote()
        time.sleep(self._missing_s)
        for link in self._links:
            link.set(CUT)
        cluster.kill("redis")
        for link in self._links:
            link.lead_to(replica.address)
            link.heal()

    def stop(self, cluster: Cluster) -> None:
        """Lead everybody back to the cluster's own Redis, which is empty."""
        if self._replica is not None:
            cluster.wait_running("redis")
            for link in self._links:
                link.lead_to(("127.0.0.1", cluster.config.redis_port))
                link.heal()
            self._replica.remove()
            self._replica = None


class Demoted:
    """Another server has become the leader. Old connections stay with the one before, which is a replica now.

    `cut_off`: it does not reach its new leader, so that it gets nothing new.
    """

    def __init__(self, network: Network, *, cut_off: bool = False) -> None:
        self.name = "redis-demoted-cut-off" if cut_off else "redis-demoted"
        self._links = (network.api_redis, network.worker_redis)
        self._cut_off = cut_off
        self._successor: SecondRedis | None = None

    def start(self, cluster: Cluster) -> None:
        """Let the two change their parts; whoever connects from here on comes to the new leader."""
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
        """Let them change back, and the successor die."""
        if self._successor is not None:
            with administrator(cluster) as client:
                client.replicaof("NO", "ONE")
            for link in self._links:
                link.lead_to(("127.0.0.1", cluster.config.redis_port))
            self._successor.remove()
            self._successor = None


class Loading:
    """In place of Redis there is a server that has just started and loads its data: it answers `LOADING`.

    Once it has loaded, it knows nothing of anybody. Afterwards the one before is back, with what it had long ago.
    """

    name = "redis-loading"

    def __init__(self, network: Network, seconds: float = 4.0) -> None:
        self._links = (network.api_redis, network.worker_redis)
        self._seconds = seconds
        self._other: SecondRedis | None = None

    def start(self, cluster: Cluster) -> None:
        """Give the server something to load, start it again, and lead everybody there."""
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
        """Lead everybody back."""
        if self._other is not None:
            for link in self._links:
                link.lead_to(("127.0.0.1", cluster.config.redis_port))
            self._other.remove()
            self._other = None


def redis_faults(network: Network) -> tuple[Injection, ...]:
    """One of each."""
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
