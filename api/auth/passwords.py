"""Password hashes: Argon2id, off the event loop, a few at a time.

A hash takes tens of milliseconds and 64 MiB (argon2-cffi's defaults, the second choice of RFC 9106), so both the
threads and the queue before them are bounded.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.overload.errors import overloaded

THREADS = 2
MAX_WAITING = 32


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._under_way = 0
        # Verified for users that do not exist, so that they take as long as those that do.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        """Hash a password, in this thread: only what serves no requests makes users."""
        return self._hasher.hash(password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether `password` is the one behind the hash; as long for None, which is nobody's.

        Raises:
            Problem: 503, too many are waiting.
        """
        if self._under_way >= MAX_WAITING:
            raise overloaded("too many logins at a time")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._verify_now, password_hash, password
            )
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify_now(self, password_hash: str | None, password: str) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None
