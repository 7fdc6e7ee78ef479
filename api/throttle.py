"""How often somebody may fail to log in: counters in Redis, shared by all api processes, that expire by themselves.

Only a wrong name or password counts, and only once it was found wrong: as many tries as may be verified at a time
(`api.passwords`) can slip through beside each other, and nobody who is right is ever held up for trying. Names and
addresses are hashed: they may be of any length, and what lies in Redis tells nobody's.
"""

from __future__ import annotations

from hashlib import blake2b

import redis.exceptions

from api.problems import Kind, Problem, retry_later
from protocol.names import login_counter
from protocol.redis_connections import connect_async
from protocol.settings import AuthSettings, RedisSettings


def _counters(user: str, address: str) -> tuple[str, str]:
    user_digest, address_digest = (
        blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() for name in (user, address)
    )
    return login_counter("user", user_digest), login_counter("address", address_digest)


class LoginThrottle:
    """Counts failed logins per user and per address."""

    def __init__(self, redis_settings: RedisSettings, settings: AuthSettings) -> None:
        self._redis = connect_async(redis_settings, name="api-login")
        self._window_s = settings.login_window_s
        self._limits = (settings.login_tries_per_user, settings.login_tries_per_address)

    async def check(self, user: str, address: str) -> None:
        """See that neither the user nor the address has failed too often.

        Raises:
            Problem: 429 with `Retry-After`; 503, the counters are out of reach.
        """
        try:
            pipe = self._redis.pipeline(transaction=True)
            for counter in _counters(user, address):
                pipe.get(counter)
                pipe.ttl(counter)
            results = await pipe.execute()
        except (redis.exceptions.RedisError, OSError) as error:
            raise retry_later(Kind.NOT_READY, "logins cannot be counted at the moment") from error
        for limit, failures, ttl in zip(self._limits, results[::2], results[1::2], strict=True):
            if int(failures or 0) >= limit:
                raise Problem(
                    Kind.TOO_MANY_LOGINS,
                    f"{limit} failed logins within {self._window_s} seconds",
                    headers={"Retry-After": str(max(int(ttl), 1))},
                )

    async def failed(self, user: str, address: str) -> None:
        """Count a failure.

        Raises:
            Problem: 503, the counters are out of reach; an answer now would be a try that does not count.
        """
        try:
            pipe = self._redis.pipeline(transaction=True)
            for counter in _counters(user, address):
                pipe.set(counter, 0, ex=self._window_s, nx=True)
                pipe.incr(counter)
            await pipe.execute()
        except (redis.exceptions.RedisError, OSError) as error:
            raise retry_later(Kind.NOT_READY, "logins cannot be counted at the moment") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
