"""How long the client tries, and how much it sends at once."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from tarantkv.errors import InvalidRequestError


class Policy(NamedTuple):
    """Times in seconds.

    `deadline_s` is for all attempts of a call together, with the waits between them; every part of a large batch counts
    from the start of the call. The server remembers an `Idempotency-Key` for ten minutes, so it may be
    `MAX_DEADLINE_S` at most.
    """

    deadline_s: float = 30.0
    attempt_s: float = 15.0
    """For one attempt. The server answers within its own deadline, 5 s by default."""
    first_wait_s: float = 0.1
    last_wait_s: float = 5.0
    """Waits between attempts double from the first to the last, unless the server names one (`Retry-After`)."""
    jitter: float = 0.25
    """Waits are longer by up to this share, so that clients that failed together do not return together."""
    parallel: int = 4
    """How many parts of one call are sent at a time."""
    batch_keys: int = 10_000
    batch_bytes: int = 8 * 1024 * 1024
    """The limits of one request. The server accepts 10,000 keys and 16 MiB by default."""

    def wait_s(self, tries: int, retry_after: float | None, chance: Callable[[], float]) -> float:
        """The wait before the next attempt, after `tries` failed ones. A `Retry-After` of 0, as proxies send it, counts
        as none.
        """
        wait = retry_after or min(self.first_wait_s * 2 ** min(tries - 1, 20), self.last_wait_s)
        return wait * (1 + self.jitter * chance())


_SHARES = ("first_wait_s", "last_wait_s", "jitter")
_COUNTS = ("parallel", "batch_keys", "batch_bytes")


def check_policy(policy: Policy) -> None:
    """Check the numbers of a policy: it must send requests, and its waits must be finite.

    Raises:
        InvalidRequestError: one of its numbers is out of range.
    """
    check_deadline(policy.deadline_s)
    if not 0 < policy.attempt_s < inf:
        raise InvalidRequestError("attempt_s must be above 0, and finite")
    for name in _SHARES:
        if not 0 <= getattr(policy, name) < inf:
            raise InvalidRequestError(f"{name} must be at least 0, and finite")
    for name in _COUNTS:
        if type(getattr(policy, name)) is not int or getattr(policy, name) < 1:
            raise InvalidRequestError(f"{name} must be a whole number, at least 1")


MAX_DEADLINE_S = 540.0
"""Less than the ten minutes for which the server remembers an `Idempotency-Key`."""


def check_deadline(deadline_s: float) -> None:
    """See that no change could be sent again when the server does not remember its `Idempotency-Key` any more.

    Raises:
        InvalidRequestError: it could.
    """
    if not 0 < deadline_s <= MAX_DEADLINE_S:
        raise InvalidRequestError(f"a deadline must be above 0 and at most {MAX_DEADLINE_S:.0f} seconds")
