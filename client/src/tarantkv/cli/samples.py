"""Reads `/metrics`, and computes rates and latencies from two samples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_LINE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')

REQUESTS = "tarantkv_requests_total"
SECONDS = "tarantkv_request_duration_seconds_bucket"


class Sample(NamedTuple):
    """A number with its name and labels."""

    name: str
    labels: Mapping[str, str]
    value: float


class Samples:
    """A sample of `/metrics`, with its time on the monotonic clock."""

    def __init__(self, text: str, at: float) -> None:
        self.at = at
        self._by_name: dict[str, list[Sample]] = {}
        for line in text.splitlines():
            found = _LINE.fullmatch(line.strip())
            # An unknown number counts as one that is not there.
            if found is not None and found[3] != "NaN":
                sample = Sample(found[1], dict(_LABEL.findall(found[2] or "")), _number(found[3]))
                self._by_name.setdefault(sample.name, []).append(sample)

    def of(self, *names: str) -> list[Sample]:
        """The numbers of the first of these names that exists."""
        return next((self._by_name[name] for name in names if name in self._by_name), [])

    def by(self, label: str, *names: str) -> dict[str, float]:
        """Numbers by a label; those with the same label are added up."""
        found: dict[str, float] = {}
        for sample in self.of(*names):
            place = sample.labels.get(label, "")
            found[place] = found.get(place, 0.0) + sample.value
        return found

    def total(self, *names: str) -> float | None:
        """The sum of the numbers of a name; None if there are none."""
        samples = self.of(*names)
        return sum(sample.value for sample in samples) if samples else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


class Rates(NamedTuple):
    """Figures between two samples. Latencies are in milliseconds, None without requests."""

    requests: dict[str, float]
    failed: float
    p50_ms: float | None
    p99_ms: float | None


def rates(before: Samples, after: Samples) -> Rates:
    """Requests in a second by route, those answered with 5xx, and how long requests took."""
    passed = max(after.at - before.at, 0.001)
    old, new = before.by("route", REQUESTS), after.by("route", REQUESTS)
    requests = {route: max(0.0, count - old.get(route, 0.0)) / passed for route, count in sorted(new.items())}
    failed = (_failed(after) - _failed(before)) / passed
    buckets = list(_buckets(before, after))
    return Rates(requests, max(0.0, failed), quantile(buckets, 0.5), quantile(buckets, 0.99))


def _failed(samples: Samples) -> float:
    return sum(one.value for one in samples.of(REQUESTS) if one.labels.get("status", "").startswith("5"))


def _buckets(before: Samples, after: Samples) -> Iterator[tuple[float, float]]:
    old, new = before.by("le", SECONDS), after.by("le", SECONDS)
    for bound, count in sorted(new.items(), key=lambda pair: _number(pair[0])):
        yield _number(bound), max(0.0, count - old.get(bound, 0.0))


def quantile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """The latency in milliseconds that this share of requests did not exceed, from cumulative buckets in seconds."""
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return None
    below, lower = 0.0, 0.0
    for bound, count in buckets:
        if count >= share * total:
            if bound == float("inf"):
                return lower * 1000
            return 1000 * (lower + (bound - lower) * (share * total - below) / max(count - below, 1e-9))
        below, lower = count, bound
    return None
