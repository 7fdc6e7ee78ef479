"""How long the client tries, and how much it sends at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Policy(NamedTuple):
    """Times in seconds.

    `deadline_s` is for all tries of a call together, the waits between them included; every part of a large batch
    counts from the start of the call. An `Idempotency-Key` is remembered for ten minutes: more is too long.
    """

    deadline_s: float = 30.0
    attempt_s: float = 15.0
    """For one try. The server answers within its own deadline, 5 s by default."""
    first_wait_s: float = 0.1
    last_wait_s: float = 5.0
    """Waits between tries double from the first to the last, unless the server names one (`Retry-After`)."""
    jitter: float = 0.25
    """Waits are longer by up to this share, so that clients which failed together do not come back together."""
    parallel: int = 4
    """Parts of one call under way at a time."""
    batch_keys: int = 10_000
    batch_bytes: int = 8 * 1024 * 1024
    """What one request has at most. The server takes 10,000 keys and 16 MiB by default."""

    def wait_s(self, tries: int, retry_after: float | None, chance: Callable[[], float]) -> float:
        """Before the next try, after `tries` that failed. A `Retry-After` of 0, as proxies send it, names no wait."""
        wait = retry_after or min(self.first_wait_s * 2 ** min(tries - 1, 20), self.last_wait_s)
        return wait * (1 + self.jitter * chance())


MAX_DEADLINE_S = 540.0
"""Less than the ten minutes for which the server remembers an `Idempotency-Key`."""
