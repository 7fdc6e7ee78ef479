"""Limits how often a login may fail: counters in Redis, shared by all api processes, that expire by themselves.

Only a wrong name or password counts, and only after it was verified. So concurrent attempts can pass the check, as many
as may be verified at a time (`api.auth.passwords`), and a correct login is never refused because of its own attempt.
Names and addresses are hashed: they may be of any length, and Redis should not hold them. While Redis is out of reach
no login is answered: an attempt that cannot be counted would be free, and without Redis the store cannot be asked
either.

If there are several lanes, one has the counters. While it does not work, the next one counts, from zero.
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
"""A small number, because unknown clients decide how many logins come at a time."""

IPV6_PREFIX = 64


def network_of(address: str) -> str:
    """The network that counts as one address: for IPv6 a /64, which is what one subscriber gets (RFC 6177)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # of a unix socket, or a name that a proxy sent
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
    """Counts failed logins by user and by address. `lanes` says where: on the first lane that answers."""

    def __init__(self, lanes: Callable[[], Sequence[RedisSettings]], settings: AuthSettings) -> None:
        self._lanes = lanes
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: dict[RedisSettings, list[AsyncWire]] = {}
        self._window_s = settings.login_window_s
        self._limits = (settings.login_tries_per_user, settings.login_tries_per_address)

    async def check(self, user: str, address: str) -> None:
        """Check that neither the user nor the address has failed too often.

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
            Problem: 503, the counters are out of reach. An answer now would be an attempt that does not count.
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
            Problem: 503, Redis is out of reach, or no connection becomes free in time.
        """
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                await self._free.acquire()
            try:
                return await self._run_somewhere([("MULTI",), *commands, ("EXEC",)])
            finally:
                self._free.release()
        # The last two: bytes of the answer were lost on the way.
        except (redis.exceptions.RedisError, OSError, ValueError, TypeError) as error:
            raise _not_counted() from error

    async def _run_somewhere(self, commands: Sequence[Command]) -> Sequence[Any]:
        """Run a transaction on the first lane that accepts it, or on the last; returns the replies to its commands."""
        *others, last = self._lanes()
        for lane in others:
            with suppress(redis.exceptions.RedisError, OSError):
                *_, replies = check(await self._exchange(lane, commands, silent_s=SILENT_S))
                return check(replies)
        *_, replies = check(await self._exchange(last, commands, silent_s=SILENT_S if others else 0.0))
        return check(replies)

    async def _exchange(self, lane: RedisSettings, commands: Sequence[Command], *, silent_s: float) -> Sequence[Any]:
        """Make one round trip, on an open connection if one still works."""
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
