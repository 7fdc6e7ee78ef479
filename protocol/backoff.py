"""The waits between attempts to reach something, for every process; the caller does the waiting."""

from __future__ import annotations

import random


class Backoff:
    """Waits that double from `first_s` to `last_s` and stay there, each shortened at random by up to a half.

    It keeps only the next wait, not the number of attempts: an outage may take any number of them.
    """

    def __init__(self, first_s: float, last_s: float) -> None:
        """Waits in seconds.

        Raises:
            ValueError: the waits are not positive, or shrink.
        """
        if not 0 < first_s <= last_s:
            raise ValueError(f"a back-off from {first_s} s to {last_s} s")
        self._first_s = self._next_s = first_s
        self._last_s = last_s

    def next_s(self) -> float:
        """The seconds to wait before the next attempt."""
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self._last_s)
        # Processes that lost the same server must not all return to it in the same moment.
        return random.uniform(wait_s / 2, wait_s)  # noqa: S311  jitter is no secret

    def reset(self) -> None:
        """Start from the first wait again: an attempt succeeded."""
        self._next_s = self._first_s
