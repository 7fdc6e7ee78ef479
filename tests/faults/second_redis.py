"""A second Redis server besides that of a cluster, with the same users: its replica or its successor."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from localcluster import dotenv
from localcluster.cluster import Cluster
from localcluster.ports import free_ports
from tests.faults.processes import wait_for

_TIMEOUT_S = 60.0


@contextmanager
def administrator(cluster: Cluster, port: int | None = None) -> Iterator[redis.Redis]:
    """Redis with the rights of its administrator, or a server with the same users on another `port`."""
    client = redis.Redis(
        host="127.0.0.1",
        port=port or cluster.config.redis_port,
        username=cluster.settings["TARANTKV_REDIS_USER"],
        password=cluster.settings[dotenv.REDIS_PASSWORD],
        protocol=2,
        socket_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    finally:
        client.close()


def credentials(cluster: Cluster) -> dict[str, str]:
    """The configuration that a replica needs to follow any server with the cluster's users."""
    settings = cluster.settings
    return {"masteruser": settings["TARANTKV_REDIS_USER"], "masterauth": settings[dotenv.REDIS_PASSWORD]}


class SecondRedis:
    """The server, which does not run at first. It stores nothing on disk unless a test asks for it."""

    def __init__(self, cluster: Cluster) -> None:
        (self.port,) = free_ports(1)
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = Path(tempfile.mkdtemp(dir=cluster.layout.redis_dir))

    @property
    def address(self) -> tuple[str, int]:
        """The address on which it listens."""
        return "127.0.0.1", self.port

    def start(self, *lines: str) -> None:
        """Start it with more lines of configuration, and wait until it answers, even with an error."""
        conf = (self._cluster.layout.redis_dir / "redis.conf").read_text().splitlines()
        users = [line for line in conf if line.startswith("user ")]
        path = self._directory / "redis.conf"
        path.touch(mode=0o600)
        path.write_text(
            "\n".join(
                [
                    "bind 127.0.0.1",
                    f"port {self.port}",
                    f'dir "{self._directory}"',
                    'save ""',
                    "appendonly no",
                    *(f"{name} {value}" for name, value in credentials(self._cluster).items()),
                    "user default off",
                    *users,
                    *lines,
                    "",
                ]
            )
        )
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(["redis-server", str(path)], stdout=log, stderr=log)
        wait_for(self._answers, f"the second redis does not answer, see {self._directory / 'log'}")

    def follow(self, port: int) -> None:
        """Make it a replica of the server on `port`, and wait until it has that server's data."""
        with administrator(self._cluster, self.port) as replica, administrator(self._cluster, port) as leader:
            # Otherwise it waits five seconds for more replicas.
            leader.config_set("repl-diskless-sync-delay", 0)
            replica.replicaof("127.0.0.1", port)
            wait_for(lambda: replica.info("replication")["master_link_status"] == "up", "the replica gets no data")
            offset = leader.info("replication")["master_repl_offset"]
            wait_for(
                lambda: replica.info("replication")["slave_repl_offset"] >= offset, "the replica does not catch up"
            )

    def promote(self) -> None:
        """Make it a leader, which follows no server any more."""
        with administrator(self._cluster, self.port) as client:
            client.replicaof("NO", "ONE")

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Kill it and remove its files."""
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _answers(self) -> bool:
        with administrator(self._cluster, self.port) as client:
            try:
                client.ping()
            except redis.exceptions.BusyLoadingError:
                return True
            except redis.ConnectionError:
                return False
        return True
