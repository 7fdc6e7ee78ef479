"""How often somebody may fail to log in: counters in Redis, shared by all api processes, that expire by themselves.

A try is counted before the password is looked at, so that many at a time cannot slip through, and taken back when it
was right. One that is refused because of its address does not count against the user: whoever is blocked must not go
on to lock others out. Names and addresses are hashed: they may be of any length, and what lies in Redis tells nobody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import redis.exceptions

from api.problems import Kind, Problem, retry_later
from protocol.names import login_counter
from protocol.redis_connections import connect_async
from protocol.settings import AuthSettings, RedisSettings


class LoginThrottle:
    """Counts failed logins per user and per address."""

    def __init__(self, redis_settings: RedisSettings, settings: AuthSettings) -> None:
        self._redis = connect_async(redis_settings, name="api-login")
        self._window_s = settings.login_window_s
        # The address first: see above.
        self._limits = (
            ("address", settings.login_tries_per_address),
            ("user", settings.login_tries_per_user),
        )

    async def begin(self, user: str, address: str) -> tuple[str, ...]:
        """Count a try; give what is returned to `succeeded` if it was right.

        Raises:
            Problem: 429 with `Retry-After`, too many failed; 503, the counters are out of reach.
        """
        counters = tuple(
            login_counter(kind, blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest())
            for (kind, _), name in zip(self._limits, (address, user), strict=True)
        )
        try:
            pipe = self._redis.pipeline(transaction=True)
            for counter in counters:
                pipe.incr(counter)
                pipe.expire(counter, self._window_s, nx=True)
                pipe.ttl(counter)
            results = await pipe.execute()
        except (redis.exceptions.RedisError, OSError) as error:
            raise retry_later(Kind.NOT_READY, "logins cannot be counted at the moment") from error
        for position, (_, limit) in enumerate(self._limits):
            tries, _, ttl = results[3 * position : 3 * position + 3]
            if tries > limit:
                await self._take_back(counters[position + 1 :])
                raise Problem(
                    Kind.TOO_MANY_LOGINS,
                    f"more than {limit} failed logins within {self._window_s} seconds",
                    headers={"Retry-After": str(max(int(ttl), 1))},
                )
        return counters

    async def succeeded(self, counters: tuple[str, ...]) -> None:
        """Take a try back that was right."""
        await self._take_back(counters)

    async def _take_back(self, counters: Sequence[str]) -> None:
        if not counters:
            return
        try:
            pipe = self._redis.pipeline(transaction=True)
            for counter in counters:
                pipe.decr(counter)
                pipe.expire(counter, self._window_s, nx=True)
            await pipe.execute()
        except (redis.exceptions.RedisError, OSError):
            # Redis lost the counter or is away: then the try counts until its window ends.
            return

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()
