"""Measurements, and the figures that follow from them: rates, cost per request and per key, medians over the rounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from loadtest.bench.accounting import Memory
from loadtest.bench.load import Load
from loadtest.bench.plan import Combination

GENERATOR = "generator"


class Measurement(msgspec.Struct, frozen=True):
    """One system under one kind of load in one round. `cpu_s` is by tier; the generator is one of them."""

    system: str
    combination: Combination
    round: int
    load: Load
    cpu_s: dict[str, float]
    """CPU time until the system had finished all requests that were sent."""

    other_cores: float
    """Processors that other programs kept busy meanwhile. If they are many, rates are doubtful."""

    @property
    def requests_per_s(self) -> float:
        """Requests answered."""
        return self.load.requests / self.load.seconds

    @property
    def keys_per_s(self) -> float:
        """Keys written or read."""
        return self.requests_per_s * self.combination.batch

    def cpu_us_per_request(self, tier: str) -> float:
        """CPU time of a tier for each request."""
        return self.cpu_s.get(tier, 0.0) * 1e6 / max(1, self.load.sent)

    @property
    def system_cpu_us_per_request(self) -> float:
        """CPU time of all tiers except the generator, for each request."""
        return sum(self.cpu_us_per_request(tier) for tier in self.cpu_s if tier != GENERATOR)


class Row(msgspec.Struct, frozen=True):
    """The medians of a system's measurements under one kind of load."""

    system: str
    combination: Combination
    rounds: int
    requests_per_s: float
    keys_per_s: float
    latency_ms: dict[str, float]
    errors: int
    cpu_us_per_request: dict[str, float]
    cpu_us_per_key: dict[str, float]
    other_cores: float

    @property
    def system_cpu_us_per_request(self) -> float:
        """CPU time of all tiers except the generator, for each request."""
        return sum(cost for tier, cost in self.cpu_us_per_request.items() if tier != GENERATOR)


class Results(msgspec.Struct):
    """A whole run, as written to JSON."""

    machine: dict[str, str]
    systems: list[str]
    measurements: list[Measurement] = msgspec.field(default_factory=list)
    memory: dict[str, dict[str, Memory]] = msgspec.field(default_factory=dict)
    """By system and tier, at the end of the run."""

    @property
    def errors(self) -> int:
        """All requests that failed."""
        return sum(measurement.load.failures for measurement in self.measurements)


Key = tuple[str, Combination]


def by_system(measurements: Iterable[Measurement]) -> dict[Key, list[Measurement]]:
    """Group the rounds of the same system and load."""
    groups: dict[Key, list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        groups[measurement.system, measurement.combination].append(measurement)
    return groups


def rows(measurements: Iterable[Measurement]) -> list[Row]:
    """The medians, in the order of the first measurements."""
    return [_row(group) for group in by_system(measurements).values()]


def _row(group: Sequence[Measurement]) -> Row:
    first = group[0]
    batch = first.combination.batch
    per_request = {tier: median(m.cpu_us_per_request(tier) for m in group) for tier in first.cpu_s}
    return Row(
        system=first.system,
        combination=first.combination,
        rounds=len(group),
        requests_per_s=median(m.requests_per_s for m in group),
        keys_per_s=median(m.keys_per_s for m in group),
        latency_ms={
            percentile: median(m.load.latency_us[percentile] / 1000 for m in group)
            for percentile in first.load.latency_us
        },
        errors=sum(m.load.failures for m in group),
        cpu_us_per_request=per_request,
        cpu_us_per_key={tier: cost / batch for tier, cost in per_request.items()},
        other_cores=median(m.other_cores for m in group),
    )
