"""How long an answer may take once it has begun.

A socket's timeout is that of one receive: a peer that sends a byte now and then would be waited for without end.
"""

from __future__ import annotations

import time

SLOWEST_BYTES_S = 64 * 1024
"""Half a megabit a second: a large answer may take its time on a slow link, as long as it is this fast."""


def latest(began_at: float, timeout_s: float, came: int) -> float:
    """Until when more must have come of an answer of which `came` bytes are there: the timeout, and their time."""
    return began_at + timeout_s + came / SLOWEST_BYTES_S


def keep_up(began_at: float, timeout_s: float | None, came: int) -> float:
    """Hold an answer that is not whole yet against the clock; call it between two receives.

    Returns:
        When it began by the monotonic clock: now, where `began_at` is 0.

    Raises:
        TimeoutError: it comes too slowly.
    """
    now = time.monotonic()
    began_at = began_at or now
    if timeout_s is not None and now > latest(began_at, timeout_s, came):
        raise TimeoutError(f"an answer came too slowly: {came} bytes so far")
    return began_at
