"""The one place that knows how to connect to Redis.

Two rules stand behind what is set here. Retries belong to the callers, which know deadlines and what a lost answer
means, so that the client library retries nothing by itself. And a read that blocks gets a connection of its own whose
socket timeout is longer than the block: redis-py's default of 5 s would otherwise cut a longer block off as an error.

The way of a batch uses `Wire` and `AsyncWire`: one write for all commands of a turn, one read after the other, on
redis-py's connections but beneath its commands, which check, time, record and wrap each call anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from protocol.settings import RedisSettings

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 2.0

Command = Sequence[bytes | str | int]


def _options(settings: RedisSettings, name: str, block_ms: int) -> dict[str, Any]:
    return {
        "username": settings.redis_user,
        "password": settings.redis_password,
        "client_name": name,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": COMMAND_TIMEOUT_S + block_ms / 1000,
        "socket_keepalive": True,
        "protocol": 2,
    }


def connect_async(settings: RedisSettings, *, name: str) -> redis.asyncio.Redis:
    """An asyncio client with one connection."""
    return redis.asyncio.Redis.from_url(
        settings.redis_url,
        **_options(settings, name, 0),
        retry=AsyncRetry(NoBackoff(), 0),
        single_connection_client=True,
    )


class Wire:
    """One blocking connection, for one thread. It connects at the first `run`, and again after every failure."""

    def __init__(self, settings: RedisSettings, *, name: str, block_ms: int = 0) -> None:
        pool = redis.ConnectionPool.from_url(
            settings.redis_url, **_options(settings, name, block_ms), retry=Retry(NoBackoff(), 0)
        )
        self._connection: Any = pool.make_connection()

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands in one write and return their replies in order, an error reply as an exception object.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the connection broke; which commands ran is unknown.
        """
        connection = self._connection
        pieces = chain.from_iterable(connection.pack_command(*command) for command in commands)
        connection.send_packed_command([b"".join(pieces)], check_health=False)
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(connection.read_response())
            except redis.ResponseError as error:
                replies.append(error)
        return replies

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()


class AsyncWire:
    """One asyncio connection, for one task; otherwise as `Wire`."""

    def __init__(self, settings: RedisSettings, *, name: str, block_ms: int = 0) -> None:
        pool = redis.asyncio.ConnectionPool.from_url(
            settings.redis_url, **_options(settings, name, block_ms), retry=AsyncRetry(NoBackoff(), 0)
        )
        self._connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]  # the library leaves it untyped

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands in one write and return their replies in order, an error reply as an exception object.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the connection broke; which commands ran is unknown.
        """
        connection = self._connection
        pieces = chain.from_iterable(connection.pack_command(*command) for command in commands)
        await connection.send_packed_command(b"".join(pieces), check_health=False)
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except redis.ResponseError as error:
                replies.append(error)
        return replies

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)


def check(replies: Sequence[Any]) -> Sequence[Any]:
    """The replies, if none of them is an error.

    Raises:
        redis.ResponseError: the first one that is.
    """
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
    return replies
