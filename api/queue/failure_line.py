"""Log lines about a lane that fails: an outage may last for days, and each of its attempts to connect fails."""

from __future__ import annotations

import logging
import time

EVERY_S = 5.0
"""The least time between two lines."""


class FailureLine:
    """Logs failures of one connection with `message`: the first one after it worked, and then one from time to time."""

    def __init__(self, logger: logging.Logger, message: str, lane: str) -> None:
        self._logger = logger
        self._message = message
        self._lane = lane
        self._next_at = float("-inf")

    def log(self, error: Exception, *, worked: bool) -> None:
        """Log a failure, if it is time. `worked`: the connection has worked before."""
        now = time.monotonic()
        if worked or now >= self._next_at:
            self._next_at = now + EVERY_S
            self._logger.warning(self._message, extra={"lane": self._lane, "error": str(error)})
