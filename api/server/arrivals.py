"""When the bytes that are read arrived: a process that stood still reads what may have been waiting for long.

The kernel does not tell when it received the bytes of a stream. While the event loop turns they are read at once; after
a gap, in which it did not turn, they may have come at any time since the gap began.
"""

from __future__ import annotations

LATE_S = 1.0
"""Seconds without a tick that make a gap. Ticks come several times a second."""

CATCH_UP_S = 10.0
"""Seconds after a gap in which connections are taken that may have been made during it, at most."""


class Arrivals:
    """Notices the gaps of one event loop. All times are the loop's."""

    def __init__(self, now: float) -> None:
        self.ticked = now
        self._gap_began = self._gap_ended = float("-inf")
        self._connected = False
        self.catching_up = False
        """Whether what is read may have been waiting since before the last gap's end."""

    def tick(self, now: float) -> None:
        """Note that the loop turns."""
        self._notice_gap(now)
        if self.catching_up and now > self.ticked:
            # A loop that turned and found no new connection has taken all that had been waiting.
            self.catching_up = self._connected and now - self._gap_ended < CATCH_UP_S
        self._connected = False
        self.ticked = now

    def connected(self) -> None:
        """Note that a connection was taken."""
        self._connected = True

    def earliest(self, now: float, read_before: float) -> float:
        """When bytes that are read now arrived, at the earliest.

        `read_before` is when their connection was read before, or minus infinity.
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
