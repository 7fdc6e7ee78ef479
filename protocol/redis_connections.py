"""redis-py's clients, for what is not on the way of a batch (that is `protocol.wire`).

Retries belong to the callers, which know deadlines and what a lost answer means, so that the library retries nothing by
itself; and connections are bounded, since strangers decide how many of them log in at a time.
"""

from __future__ import annotations

import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff

from protocol.settings import RedisSettings

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 2.0
MAX_CONNECTIONS = 4


def connect_async(settings: RedisSettings, *, name: str) -> redis.asyncio.Redis:
    """An asyncio client with a few connections; who finds none free within `COMMAND_TIMEOUT_S` gets an error."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=MAX_CONNECTIONS,
        timeout=COMMAND_TIMEOUT_S,
        username=settings.redis_user,
        password=settings.redis_password,
        client_name=name,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=COMMAND_TIMEOUT_S,
        protocol=2,
        # It would ask for the right to CLIENT SETINFO, which Redis 6 does not know.
        driver_info=None,
        retry=AsyncRetry(NoBackoff(), 0),
    )
    return redis.asyncio.Redis.from_pool(pool)
