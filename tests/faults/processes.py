"""Finds which worker reads a stream, which frames it was given, and which bytes a shard has not read yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from localcluster.cluster import Cluster
from protocol.frames import VERSION, decode_frame
from protocol.names import FIELD, GROUP, shard_stream, shard_workers
from protocol.operations import Operation
from tests.redis_client import as_tarantkv

POLL_S = 0.005

_CHANGES = {
    Operation.WRITE,
    Operation.DELETE,
    Operation.UPDATE,
    Operation.DELETE_IF,
    Operation.INCREMENT,
    Operation.TOUCH,
}


def wait_for(condition: Callable[[], bool], failure: str, timeout_s: float = 10.0) -> None:
    """Poll until a condition holds for which there is no event."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(failure)
        time.sleep(POLL_S)


def reader(cluster: Cluster, shard: str = "s1", timeout_s: float = 5.0) -> str:
    """The reader of a shard's stream, if there are two or three workers; any worker if Redis does not know."""
    client = as_tarantkv(cluster, socket_timeout=1, retry=Retry(NoBackoff(), 0))
    end = time.monotonic() + timeout_s
    seen: dict[bytes, float] = {}
    with client:
        while True:
            workers = {cluster.pid(status.name): status.name for status in cluster.status() if is_worker(status.name)}
            try:
                present = cast(
                    "list[tuple[bytes, float]]", client.zrange(shard_workers(shard, VERSION), 0, -1, withscores=True)
                )
            except redis.RedisError:
                return next(iter(workers.values()))
            # A worker that has just died still counts as present, and one that has just started does not count yet.
            if {_pid(name) for name, _ in present} == workers.keys():
                first, said_at = min(present)
                if said_at > seen.get(first, said_at):
                    return workers[_pid(first)]
                seen = {first: seen.get(first, said_at)}
            else:
                seen = {}
            if time.monotonic() > end:
                return next(iter(workers.values()))
            time.sleep(POLL_S)


def _pid(consumer: bytes) -> int:
    return int(consumer.split(b":")[-2])


def is_worker(program: str) -> bool:
    """Whether a program is a worker."""
    return program.startswith("worker-")


def in_hand(client: redis.Redis, shard: str, pid: int) -> set[bytes]:
    """The ids of the stream entries that the worker process `pid` was given and has not answered."""
    consumers = client.xinfo_consumers(shard_stream(shard), GROUP)
    names = [info["name"] for info in consumers if f":{pid}:".encode() in info["name"]]
    return {
        entry["message_id"]
        for name in names
        for entry in cast(
            "list[dict[str, Any]]", client.xpending_range(shard_stream(shard), GROUP, "-", "+", 1000, consumername=name)
        )
    }


def changes(client: redis.Redis, shard: str, entries: set[bytes]) -> set[bytes]:
    """The ids of the chunks in stream entries that change keys."""
    found: set[bytes] = set()
    for entry in entries:
        for _, fields in cast("list[Any]", client.xrange(shard_stream(shard), entry, entry)):
            found.update(chunk.id for chunk in decode_frame(fields[FIELD]).chunks if chunk.operation in _CHANGES)
    return found


def unread_bytes(port: int, pid: int) -> int:
    """How many bytes process `pid` has sent to the local `port` that the process listening there has not read."""
    sources = {
        connection.laddr.port
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and connection.raddr.port == port
    }
    unread = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues = line.split()[:5]
        if int(local.partition(":")[2], 16) == port and int(remote.partition(":")[2], 16) in sources:
            unread += int(queues.partition(":")[2], 16)
    return unread
