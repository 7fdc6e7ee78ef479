"""The gate of an api process: decides which requests start at once, which wait for their turn, and which are
rejected.
"""

from __future__ import annotations

from collections import Counter

from api.overload.fair_queue import FairQueue
from api.overload.shard_limits import Admission
from api.overload.tuning import BYTES_PER_START, STARTS_PER_TURN


class Gate(FairQueue):
    """Decides about the requests of one process; each has a user and the size of its body."""

    def __init__(self, admission: Admission, max_wait_s: float, request_timeout_s: float) -> None:
        super().__init__(
            per_turn=STARTS_PER_TURN, max_wait_s=max_wait_s, give_up_s=request_timeout_s, ready=admission.has_room
        )
        self._admission = admission
        self._rejected: Counter[str] = Counter()

    def is_open(self, size: int) -> bool:
        """Whether a request of any user may start at once; if so, it is counted."""
        return self.free(1 + size // BYTES_PER_START) and self._admission.calm()

    def count_rejected(self, route: str) -> None:
        """Count a request that was rejected."""
        self._rejected[route] += 1

    def take_rejected(self) -> Counter[str]:
        """How many requests were rejected since the last call, by route."""
        rejected, self._rejected = self._rejected, Counter()
        return rejected
