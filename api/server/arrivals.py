"""Estimates when received bytes arrived: after a process was frozen, it may read bytes that have waited for long.

The kernel does not tell when it received the bytes of a stream. While the event loop runs they are read at once. After
a gap, in which it did not run, they may have arrived at any time since the gap began.
"""

from __future__ import annotations

LATE_S = 1.0
"""Seconds without a tick that count as a gap. Ticks come several times a second."""

CATCH_UP_S = 10.0
"""For this many seconds after a gap, a new connection may have been made during the gap."""


class Arrivals:
    """Notices the gaps of one event loop. All times are the loop's."""

    def __init__(self, now: float) -> None:
        self.ticked = now
        self._gap_began = self._gap_ended = float("-inf")
        self._connected = False
        self.catching_up = False
        """Whether bytes that are read now may have arrived before the end of the last gap."""

    def tick(self, now: float) -> None:
        """Note that the loop runs."""
        self._notice_gap(now)
        if self.catching_up and now > self.ticked:
            # If the loop ran and found no new connection, it has taken all connections that waited.
            self.catching_up = self._connected and now - self._gap_ended < CATCH_UP_S
        self._connected = False
        self.ticked = now

    def connected(self) -> None:
        """Note that a connection was accepted."""
        self._connected = True

    def earliest(self, now: float, read_before: float) -> float:
        """The earliest time at which bytes that are read now can have arrived.

        `read_before` is when the connection was read the last time, or minus infinity.
        """
        if now - self.ticked > LATE_S:
            self._notice_gap(now)
        if self.catching_up and read_before < self._gap_ended:
            return self._gap_began
        return now

    def _notice_gap(self, now: float) -> None:
        if now - self.ticked > LATE_S:
            self._gap_began, self._gap_ended = self.ticked, now
            self.ticked = now
            self.catching_up = self._connected = True
