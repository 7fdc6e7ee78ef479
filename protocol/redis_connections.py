"""The one place that knows how to connect to Redis.

Two rules stand behind what is set here. Retries belong to the callers, which know deadlines and what a lost answer
means, so that the client library retries nothing by itself. And a read that blocks gets a connection of its own whose
timeout is longer than the block: redis-py's default of 5 s would otherwise cut a longer block off as an error.

The way of a batch does not use these clients but `protocol.wire`.
"""

from __future__ import annotations

import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff

from protocol.settings import RedisSettings

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 2.0


def connect_async(settings: RedisSettings, *, name: str) -> redis.asyncio.Redis:
    """An asyncio client with one connection."""
    return redis.asyncio.Redis.from_url(
        settings.redis_url,
        username=settings.redis_user,
        password=settings.redis_password,
        client_name=name,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=COMMAND_TIMEOUT_S,
        protocol=2,
        retry=AsyncRetry(NoBackoff(), 0),
        single_connection_client=True,
    )
