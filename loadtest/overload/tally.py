"""The counts of a generator: answers by status and by second, and their latencies in buckets that are 2 % wide."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

_STEP = math.log(1.02)


def bucket(seconds: float) -> int:
    """The number of the bucket of a latency."""
    return int(math.log(max(seconds, 1e-6) * 1e6) / _STEP)


def seconds_of(number: int) -> float:
    """The upper end of a bucket."""
    return math.exp((number + 1) * _STEP) / 1e6


class Tally(msgspec.Struct):
    """Counts of one phase. `status` 0 stands for a connection that broke."""

    offered: int = 0
    latencies: dict[int, dict[int, int]] = {}
    """By status, then by bucket; from the time at which the request was due, not from when it could be sent."""

    by_second: dict[int, dict[int, int]] = {}
    slowest_by_second: dict[int, float] = {}
    without_retry_after: int = 0
    late: dict[int, int] = {}
    """By bucket: how long after it was due a request was sent, because no connection or no processor was free."""

    cpu_s: float = 0.0
    seconds: float = 0.0

    def answered(self, status: int) -> int:
        """Answers of a status."""
        return sum(self.latencies.get(status, {}).values())

    def statuses(self) -> list[int]:
        """Every status of an answer."""
        return sorted(self.latencies)

    def percentile(self, status: int, share: float) -> float:
        """Seconds within which that share of a status's answers arrived; 0 if there are none."""
        return percentile(self.latencies.get(status, {}), share)


def percentile(buckets: dict[int, int], share: float) -> float:
    """Seconds below which that share of the latencies lies."""
    left = math.ceil(sum(buckets.values()) * share)
    for number in sorted(buckets):
        left -= buckets[number]
        if left <= 0:
            return seconds_of(number)
    return 0.0


def merged(parts: Iterable[Tally]) -> Tally:
    """The counts of several generators that ran at the same time."""
    total = Tally()
    latencies: dict[int, Counter[int]] = defaultdict(Counter)
    by_second: dict[int, Counter[int]] = defaultdict(Counter)
    late: Counter[int] = Counter()
    for part in parts:
        total.offered += part.offered
        total.without_retry_after += part.without_retry_after
        total.cpu_s += part.cpu_s
        total.seconds = max(total.seconds, part.seconds)
        late.update(part.late)
        for status, counts in part.latencies.items():
            latencies[status].update(counts)
        for second, counts in part.by_second.items():
            by_second[second].update(counts)
        for second, slowest in part.slowest_by_second.items():
            total.slowest_by_second[second] = max(slowest, total.slowest_by_second.get(second, 0.0))
    total.latencies = {status: dict(counts) for status, counts in latencies.items()}
    total.by_second = {second: dict(counts) for second, counts in by_second.items()}
    total.late = dict(late)
    return total
