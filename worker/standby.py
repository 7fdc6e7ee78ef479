"""Decides which of a shard's workers reads its stream, and which stand by until that one is late.

Workers that read a stream in turn make two half-full calls instead of a full one, and a shard runs one call at a time
anyway. So the workers that are present divide the shards among them. They need not agree about it: a worker that stands
by polls the stream all the same, and reads like any other as soon as frames wait too long.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from protocol.readers import reader

POLL_EVERY_S = 0.05
"""How often the workers that stand by poll a stream, all of them together, while they find frames there."""

QUIET = 4
"""A worker that found nothing polls less often, by this factor."""

LATE_MS = 20
"""A frame that has waited for this long is late: the worker that should read it is dead, slow, or overloaded."""

HELP_S = 1.0
"""How long a worker that has found a late frame reads the stream, too."""

_MAX_PAUSE_S = 0.5


class Standby:
    """One worker's role at one shard. `position` is the shard's among all shards by name, and divides the shards among
    the workers; it may be set at any time, and counts from the next announcement on.

    Until the other workers are known, this one reads.
    """

    def __init__(self, position: int, consumer: str) -> None:
        self.position = position
        self._consumer = consumer.encode()
        self._others = 0
        self._leads = True
        self._helps_until = float("-inf")
        self._quiet = True

    def announced(self, present: Sequence[bytes]) -> None:
        """Note all workers that are present, this one included; none if they are unknown."""
        self._leads = not present or reader(present, self.position) == self._consumer
        self._others = max(0, len(present) - 1)

    def reads(self) -> bool:
        """Whether this worker should wait for frames; otherwise it polls from time to time."""
        return self._leads or time.monotonic() < self._helps_until

    def polled(self, waited_ms: int | None) -> None:
        """Note how long the frame that a poll found had waited, if it found one.

        The time is negative if Redis' clock was set back: then it is unknown whether the frame is late.
        """
        self._quiet = waited_ms is None
        if waited_ms is not None and not 0 <= waited_ms < LATE_MS:
            self._helps_until = time.monotonic() + HELP_S

    def pause_s(self) -> float:
        """How long to wait before the next poll, with jitter."""
        pause = min(_MAX_PAUSE_S, POLL_EVERY_S * (QUIET if self._quiet else 1) * max(1, self._others))
        return random.uniform(pause / 2, pause * 3 / 2)  # noqa: S311 - jitter is no secret
