"""Password hashes: Argon2id, off the event loop, a few at a time.

A hash takes tens of milliseconds and 64 MiB (argon2-cffi's defaults, the second choice of RFC 9106), so both the
threads and the queue in front of them are bounded.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from api.overload.errors import overloaded

THREADS = 2
MAX_WAITING = 32
MAX_PER_ADDRESS = MAX_WAITING // 2
"""The limit for one address: the rest is reserved for logins from others."""


T = TypeVar("T")


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._under_way: Counter[str] = Counter()
        # Verified for users that do not exist, so that their logins take as long as those of users that do.
        self._nobody = _hash_of_no_password(self._hasher)

    def hash(self, password: str) -> str:
        """Hash a password in this thread: for processes that serve no requests."""
        return self._hasher.hash(password)

    async def hash_beside(self, password: str, address: str) -> str:
        """Hash a password in another thread, while requests are served.

        Raises:
            Problem: 503, as `verify`.
        """
        return await self._run(address, self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str, address: str) -> bool:
        """Whether `password` belongs to the hash. None belongs to no user: verifying takes as long, and fails.

        Raises:
            Problem: 503, too many verifications are waiting, in total or for this address.
        """
        return await self._run(address, self._verify_now, password_hash, password)

    async def _run(self, address: str, work: Callable[..., T], *arguments: str | None) -> T:
        if self._under_way.total() >= MAX_WAITING:
            raise overloaded("too many logins at a time")
        if self._under_way[address] >= MAX_PER_ADDRESS:
            raise overloaded("too many logins at a time from this address")
        self._under_way[address] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._under_way[address] -= 1
            self._under_way += Counter()  # removes what is zero

    def close(self) -> None:
        """End the threads when they have finished their current work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify_now(self, password_hash: str | None, password: str) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None


def _hash_of_no_password(hasher: PasswordHasher) -> str:
    """A random hash that costs as much to verify as any other: computing one would delay each start."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
        for length in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${digest}"
