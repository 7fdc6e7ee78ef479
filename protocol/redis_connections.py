"""The one place that knows how to connect to Redis.

Two rules stand behind what is set here. Retries belong to the callers, which know deadlines and what a lost answer
means, so that the client library retries nothing by itself. And a read that blocks gets a connection of its own whose
socket timeout is longer than the block: redis-py's default of 5 s would otherwise cut a longer block off as an error.
"""

from __future__ import annotations

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from protocol.settings import RedisSettings

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 2.0


def _seconds(block_ms: int) -> float:
    return COMMAND_TIMEOUT_S + block_ms / 1000


def connect(settings: RedisSettings, *, name: str, block_ms: int = 0) -> redis.Redis:
    """A blocking client with one connection, for one thread; `block_ms` is the longest block of its reads."""
    return redis.Redis.from_url(
        settings.redis_url,
        username=settings.redis_user,
        password=settings.redis_password,
        client_name=name,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=_seconds(block_ms),
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        single_connection_client=True,
    )


def connect_async(settings: RedisSettings, *, name: str, block_ms: int = 0) -> redis.asyncio.Redis:
    """An asyncio client with one connection, for one task; `block_ms` is the longest block of its reads."""
    return redis.asyncio.Redis.from_url(
        settings.redis_url,
        username=settings.redis_user,
        password=settings.redis_password,
        client_name=name,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=_seconds(block_ms),
        socket_keepalive=True,
        retry=AsyncRetry(NoBackoff(), 0),
        protocol=2,
        single_connection_client=True,
    )
