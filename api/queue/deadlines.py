"""Ends every wait: gives up chunks that have no outcome shortly after their deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from api.queue.pending import PendingChunks

SWEEP_S = 0.1

GRACE_S = 0.3
"""How long a chunk waits beyond its deadline: workers report the chunks that they give up just before it."""


class Deadlines:
    """Looks regularly for chunks whose deadline has passed. It calls `adapt` with the seconds since the look before."""

    def __init__(self, pending: PendingChunks, adapt: Callable[[float], None]) -> None:
        self._pending = pending
        self._adapt = adapt

    async def run(self) -> None:
        """Look again and again; never returns."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(SWEEP_S)
            self._adapt(time.monotonic() - began)
            self.sweep(time.monotonic())

    def sweep(self, now: float) -> None:
        """Give up the chunks whose deadline has passed, and delete the frames that no request waits for any more."""
        for pending in self._pending.overdue(now, GRACE_S):
            reason = "no answer before the deadline" if pending.sends else "the queue was out of reach"
            self._pending.give_up(pending, reason)
            frame = pending.frame
            if frame is not None and not frame.waiting:
                frame.abandon()
