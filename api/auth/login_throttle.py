"""How often somebody may fail to log in: counters in Redis, shared by all api processes, that expire by themselves.

Only a wrong name or password counts, and only once it was found wrong: as many tries as may be verified at a time
(`api.auth.passwords`) can pass beside each other, and a login that is right is never refused for trying. Names and
addresses are hashed: they may be of any length, and Redis holds nobody's. While Redis is out of reach no login is
answered: a try that cannot be counted would be a free one, and without Redis the store cannot be asked either.

Of several lanes one has the counters. While that one is out of order the next one counts, from zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

import redis.exceptions

from api.http.problems import Kind, Problem, retry_later
from api.queue.lane import SILENT_S
from protocol.names import login_counter
from protocol.redis_wire import COMMAND_TIMEOUT_S, AsyncWire, Command, check
from protocol.settings import AuthSettings, RedisSettings

MAX_CONNECTIONS = 4
"""Strangers decide how many log in at a time."""

IPV6_PREFIX = 64


def network_of(address: str) -> str:
    """Who counts as one address: of IPv6 a whole /64, which is what a single subscriber is given (RFC 6177)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # of a unix socket, or a name that a proxy gave
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped is not None else str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed)


def _counters(user: str, address: str) -> tuple[str, str]:
    user_digest, address_digest = (
        blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        for name in (user, network_of(address))
    )
    return login_counter("user", user_digest), login_counter("address", address_digest)


def _not_counted() -> Problem:
    return retry_later(Kind.NOT_READY, "logins cannot be counted at the moment")


class LoginThrottle:
    """Counts failed logins per user and per address. `lanes` tells where to count: at the first one that answers."""

    def __init__(self, lanes: Callable[[], Sequence[RedisSettings]], settings: AuthSettings) -> None:
        self._lanes = lanes
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: dict[RedisSettings, list[AsyncWire]] = {}
        self._window_s = settings.login_window_s
        self._limits = (settings.login_tries_per_user, settings.login_tries_per_address)

    async def check(self, user: str, address: str) -> None:
        """See that neither the user nor the address has failed too often.

        Raises:
            Problem: 429 with `Retry-After`; 503, the counters are out of reach.
        """
        commands: list[Command] = []
        for counter in _counters(user, address):
            commands += [("GET", counter), ("TTL", counter)]
        replies = await self._run(commands)
        try:
            numbers = [int(reply or 0) for reply in replies]
        except (ValueError, TypeError) as error:
            raise _not_counted() from error
        for limit, failures, ttl in zip(self._limits, numbers[::2], numbers[1::2], strict=True):
            if failures >= limit:
                raise Problem(
                    Kind.TOO_MANY_LOGINS,
                    f"{limit} failed logins within {self._window_s} seconds",
                    headers={"Retry-After": str(max(ttl, 1))},
                )

    async def failed(self, user: str, address: str) -> None:
        """Count a failure.

        Raises:
            Problem: 503, the counters are out of reach; an answer now would be a try that does not count.
        """
        commands: list[Command] = []
        for counter in _counters(user, address):
            commands += [("SET", counter, 0, "EX", self._window_s, "NX"), ("INCR", counter)]
        await self._run(commands)

    async def close(self) -> None:
        """Close the connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    async def _run(self, commands: Sequence[Command]) -> Sequence[Any]:
        """Run commands as one transaction and return their replies.

        Raises:
            Problem: 503, Redis is out of reach, or has no connection free for too long.
        """
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await self._free.acquire()
            try:
                return await self._run_somewhere([("MULTI",), *commands, ("EXEC",)])
            finally:
                self._free.release()
        # The last two: bytes of the answer were lost on its way.
        except (redis.exceptions.RedisError, OSError, ValueError, TypeError) as error:
            raise _not_counted() from error

    async def _run_somewhere(self, commands: Sequence[Command]) -> Sequence[Any]:
        """Run a transaction on the first lane that takes it, or on the last; returns what its commands replied."""
        *others, last = self._lanes()
        for lane in others:
            with suppress(redis.exceptions.RedisError, OSError):
                *_, replies = check(await self._exchange(lane, commands, silent_s=SILENT_S))
                return check(replies)
        *_, replies = check(await self._exchange(last, commands, silent_s=SILENT_S if others else 0.0))
        return check(replies)

    async def _exchange(self, lane: RedisSettings, commands: Sequence[Command], *, silent_s: float) -> Sequence[Any]:
        """One round trip, on a connection that is there if one of them still stands."""
        wire = AsyncWire(lane, name="api-login", silent_s=silent_s)
        there = self._idle.setdefault(lane, [])
        while there:
            idle = there.pop()
            if not idle.closed:
                wire = idle
                break
        try:
            replies = await wire.run(commands)
        except BaseException:
            wire.close()
            raise
        there.append(wire)
        return replies
