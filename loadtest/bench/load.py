"""What every load generator reports about one measurement."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import msgspec

from loadtest.bench.plan import Combination
from loadtest.bench.values import Data


class Load(msgspec.Struct, frozen=True):
    """Counts and times of one measurement; `latency_us` by percentile, as "99.9"."""

    requests: int
    """Requests that were answered."""

    sent: int
    """This includes requests without an answer at the end of the time: the system works on them all the same."""

    seconds: float
    generator_cpu_s: float
    latency_us: dict[str, float]
    max_us: float
    errors: dict[str, int]
    bytes: int = 0
    """Received bytes, with headers; 0 if the generator does not count them."""

    @property
    def failures(self) -> int:
        """Errors of all kinds."""
        return sum(self.errors.values())


class LoadError(RuntimeError):
    """The generator did not finish, or an answer was wrong; the message says what happened."""


class Driver(Protocol):
    """Puts load on one system."""

    def run(self, combination: Combination, bodies: Path, seconds: float, position: int, rate: float) -> Load:
        """Send load for `seconds` with the bodies of a file, from `position` on; `rate` in requests/s, 0: no limit."""

    def fill(self, data: Data) -> None:
        """Write every key once."""

    def verify(self, data: Data) -> None:
        """Check that a sample of the stored values is returned as written. Raises `LoadError`."""


PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def percentiles(latencies_us: list[float]) -> dict[str, float]:
    """The percentiles that every generator reports, by nearest rank."""
    ordered = sorted(latencies_us)
    return {
        f"{percentile:g}": ordered[max(0, math.ceil(len(ordered) * percentile / 100) - 1)] for percentile in PERCENTILES
    }
