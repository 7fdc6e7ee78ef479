"""Calls a single instance of a cluster as a worker would, whether it is the leader or not."""

from __future__ import annotations

import os
from typing import Any

import msgpack
from tarantool import Connection

from clusterctl.cluster import ReplicatedCluster
from protocol.buckets import bucket_of
from protocol.operations import Operation
from tests.cluster.failing import deadline_ms


def connect(cluster: ReplicatedCluster, instance: str, timeout_s: float = 20) -> Connection:
    (found,) = [each for each in cluster.config.shards if each.name == instance]
    settings = cluster.settings
    return Connection(
        found.host,
        found.port,
        user=settings["TARANTKV_STORE_USER"],
        password=settings["TARANTKV_STORE_PASSWORD"],
        encoding=None,
        socket_timeout=timeout_s,
        reconnect_max_attempts=0,
        fetch_schema=False,
    )


def ask(connection: Connection, operation: Operation, body: bytes, within_s: float = 10.0) -> tuple[int, Any]:
    """Status and payload of one chunk."""
    chunk = [os.urandom(16), operation, deadline_ms(within_s), 0, 1, body]
    ((status, payload),) = connection.call("tarantkv.apply", ([chunk],))[0]
    return status, payload


def read_of(key: str) -> bytes:
    return bytes(msgpack.packb([[key], [bucket_of(key.encode(), 30000)]]))


def write_of(key: str, value: str) -> bytes:
    return bytes(msgpack.packb([[key, bucket_of(key.encode(), 30000), value]]))
