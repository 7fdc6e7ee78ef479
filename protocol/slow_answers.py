"""How long an answer may take once it has begun.

A socket's timeout is for one receive: without this module, a peer that sends a byte from time to time would never time
out.
"""

from __future__ import annotations

import time

SLOWEST_BYTES_S = 64 * 1024
"""Half a megabit a second: a large answer may take longer on a slow link, as long as it is this fast."""


def latest(began_at: float, timeout_s: float, came: int) -> float:
    """When more bytes of an answer must have arrived if `came` bytes are there: after the timeout and the time for
    those.
    """
    return began_at + timeout_s + came / SLOWEST_BYTES_S


def keep_up(began_at: float, timeout_s: float | None, came: int) -> float:
    """Check that an incomplete answer is not too slow; call it between two receives.

    Returns:
        When the answer began, by the monotonic clock: now, if `began_at` is 0.

    Raises:
        TimeoutError: the answer is too slow.
    """
    now = time.monotonic()
    began_at = began_at or now
    if timeout_s is not None and now > latest(began_at, timeout_s, came):
        raise TimeoutError(f"an answer came too slowly: {came} bytes so far")
    return began_at
