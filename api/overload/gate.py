"""The gate of an api process: which requests start at once, which wait for their turn, and which are rejected."""

from __future__ import annotations

from collections import Counter

from api.overload.fair_queue import Call, FairQueue
from api.overload.shard_limits import Admission

STARTS_PER_TURN = 16
"""Small requests that one turn of the event loop starts: some milliseconds' work."""

BYTES_PER_START = 2048
"""A larger body counts as several starts, so that one turn of the event loop does not decode many large ones."""


class Gate:
    """Decides about the requests of one process, each with its user, and the bytes of its body."""

    def __init__(self, admission: Admission, max_wait_s: float) -> None:
        self._admission = admission
        self._queue = FairQueue(per_turn=STARTS_PER_TURN, max_wait_s=max_wait_s, ready=admission.has_room)
        self._rejected: Counter[str] = Counter()

    def is_open(self, size: int, now: float) -> bool:
        """Whether a request may start at once, whoever sends it; it is then counted. `now` is the loop's time."""
        return self._queue.free(1 + size // BYTES_PER_START, now) and self._admission.calm()

    def is_full(self, user: str | None, now: float) -> bool:
        """Whether a user's requests are rejected, as those that wait already have to wait for too long."""
        return self._queue.full(user, now)

    def enter(self, user: str | None, size: int, start: Call, reject: Call) -> bool:
        """Have `start` called when it is the user's turn, or `reject` if that never comes.

        False: neither, as the user has to wait for too long already.
        """
        return self._queue.enter(user, 1 + size // BYTES_PER_START, start, reject)

    def count_rejected(self, route: str) -> None:
        """Count a request that was rejected."""
        self._rejected[route] += 1

    def take_rejected(self) -> Counter[str]:
        """How many requests were rejected since the last call, by route."""
        rejected, self._rejected = self._rejected, Counter()
        return rejected
