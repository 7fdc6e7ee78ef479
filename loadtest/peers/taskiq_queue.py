"""FastAPI in front of a taskiq queue on Redis streams, whose workers divide each batch among several Tarantools.

There is one task for each batch, not one for each shard: the queue's cost is a cost per task.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asynctnt
from fastapi import FastAPI
from taskiq import TaskiqEvents, TaskiqState
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from loadtest.peers import contract

POLL_S = 0.005
"""Pause between two polls for a result. taskiq has no other way to wait, and its default of 0.2 s would hide all other
costs. From 5 to 40 ms the throughput at 32 connections is the same."""

TIMEOUT_S = 5.0
RESULT_TTL_S = 60
MAX_QUEUED = 10_000

_url = os.environ.get("PEER_REDIS_URL", "redis://127.0.0.1")
broker = (
    RedisStreamBroker(url=_url, maxlen=MAX_QUEUED)
    .with_result_backend(
        RedisAsyncResultBackend(
            redis_url=_url, keep_results=False, result_ex_time=RESULT_TTL_S, serializer=ORJSONSerializer()
        )
    )
    .with_serializer(ORJSONSerializer())
)


class Shards:
    """The connections of a worker, in the order of the settings."""

    connections: list[asynctnt.Connection]


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _connect(_: TaskiqState) -> None:
    Shards.connections = []
    for address in os.environ["PEER_SHARDS"].split(","):
        host, _, port = address.partition(":")
        connection = asynctnt.Connection(
            host=host, port=int(port), username="peer", password=os.environ["PEER_PASSWORD"], fetch_schema=False
        )
        await connection.connect()
        Shards.connections.append(connection)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def _disconnect(_: TaskiqState) -> None:
    for connection in Shards.connections:
        await connection.disconnect()


def _shard_of(key: str) -> int:
    return zlib.crc32(key.encode()) % len(Shards.connections)


@broker.task
async def write_batch(pairs: list[tuple[str, Any]]) -> None:
    """Store pairs, each on its shard."""
    parts: list[list[Any]] = [[] for _ in Shards.connections]
    for pair in pairs:
        parts[_shard_of(pair[0])].append(pair)
    await asyncio.gather(
        *(
            connection.call("kv_write", [part])
            for connection, part in zip(Shards.connections, parts, strict=True)
            if part
        )
    )


@broker.task
async def read_batch(keys: list[str]) -> dict[str, Any]:
    """The values of those keys that exist."""
    parts: list[list[str]] = [[] for _ in Shards.connections]
    for key in keys:
        parts[_shard_of(key)].append(key)
    answers = await asyncio.gather(
        *(
            connection.call("kv_read", [part])
            for connection, part in zip(Shards.connections, parts, strict=True)
            if part
        )
    )
    found: dict[str, Any] = {}
    for answer in answers:
        found.update(answer.body[0])
    return found


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


async def _result(task: Any) -> Any:
    result = await task.wait_result(check_interval=POLL_S, timeout=TIMEOUT_S)
    result.raise_for_error()
    return result.return_value


async def _write(pairs: list[tuple[str, Any]]) -> None:
    await _result(await write_batch.kiq(pairs))


async def _read(keys: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = await _result(await read_batch.kiq(keys))
    return found


app = contract.build(_lifespan, _write, _read)
