"""Wall-clock time in the unit of the wire formats; times within one process are measured with `time.monotonic`."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
