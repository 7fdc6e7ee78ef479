"""The clock that ends every wait: gives up chunks that have no outcome a little after their deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from api.queue.pending import PendingChunks

SWEEP_S = 0.1

GRACE_S = 0.3
"""How long after its deadline a chunk is still waited for: workers report what they give up just before it."""


class Deadlines:
    """Sweeps the chunks that wait. `adapt` is told how long it was since the sweep before, in seconds."""

    def __init__(self, pending: PendingChunks, adapt: Callable[[float], None]) -> None:
        self._pending = pending
        self._adapt = adapt

    async def run(self) -> None:
        """Sweep again and again; never returns."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(SWEEP_S)
            self._adapt(time.monotonic() - began)
            self.sweep(time.monotonic())

    def sweep(self, now: float) -> None:
        """Give up the chunks whose time is over, and have the frames deleted that nobody waits for any more."""
        for pending in self._pending.overdue(now, GRACE_S):
            reason = "no answer before the deadline" if pending.sends else "the queue was out of reach"
            self._pending.give_up(pending, reason)
            frame = pending.frame
            if frame is not None and not frame.waiting:
                frame.abandon()
