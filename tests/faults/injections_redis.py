"""Faults in which a Redis server runs but does not serve. `injections_processes` kills and freezes it,
`injections_failover` replaces it.
"""

from __future__ import annotations

import contextlib
import threading

import redis

from localcluster.cluster import Cluster
from tests.faults.second_redis import administrator

_TIMEOUT_S = 60.0
_NOBODYS_PORT = 1
_USUAL_SCRIPT_LIMIT_MS = 5000
_KILL_EVERY_S = 0.05


class Paused:
    """`CLIENT PAUSE`: Redis receives commands but does not run them, for a time that is given in advance."""

    name = "redis-paused"

    def __init__(self, seconds: float = 4.0) -> None:
        self._seconds = seconds

    def start(self, cluster: Cluster) -> None:
        """Start the pause."""
        with administrator(cluster) as client:
            client.client_pause(int(self._seconds * 1000))

    def stop(self, cluster: Cluster) -> None:
        """Wait for its end. It cannot be ended earlier, because the administrator's commands wait as well."""
        with administrator(cluster) as client:
            client.ping()


class OutOfMemory:
    """`maxmemory` is reached: Redis refuses commands that need memory with `OOM`, and runs those that free memory."""

    name = "redis-out-of-memory"

    def __init__(self) -> None:
        self._before: str | None = None

    def start(self, cluster: Cluster) -> None:
        """Lower the limit below the used memory."""
        with administrator(cluster) as client:
            self._before = client.config_get("maxmemory")["maxmemory"]
            client.config_set("maxmemory", 1)

    def stop(self, cluster: Cluster) -> None:
        """Restore the limit."""
        if self._before is not None:
            with administrator(cluster) as client:
                client.config_set("maxmemory", self._before)
            self._before = None


class ReadOnly:
    """Redis has become a replica of a leader that does not exist: it refuses writes with `READONLY`."""

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
    """A script does not end: Redis refuses all commands with `BUSY`."""

    name = "redis-busy"

    def __init__(self) -> None:
        self._script: threading.Thread | None = None

    def start(self, cluster: Cluster) -> None:
        """Run the script, and wait until Redis refuses commands because of it."""
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
            # A script that has not started yet cannot be killed: NOTBUSY.
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
    """Kills the connections of one kind of client repeatedly, as soon as they are made."""

    def __init__(self, client_name: str = "worker") -> None:
        self.name = f"redis-kills-{client_name}"
        self.killed = 0
        self._client_name = client_name
        self._enough = threading.Event()
        self._killer: threading.Thread | None = None

    def start(self, cluster: Cluster) -> None:
        """Start to kill."""
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
    """`FLUSHALL` twice a second: all data is lost, and no connection breaks."""

    name = "redis-emptied"

    def __init__(self, every_s: float = 0.5) -> None:
        self._every_s = every_s
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, cluster: Cluster) -> None:
        """Start to empty it."""
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
