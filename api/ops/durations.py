"""Histograms that are cheap to update: numbers in this process, which are added to Prometheus' counters once a second.

An observation of the library's own histograms takes 3 us, because several processes share its values through files;
here it takes a tenth of that. The library stores the buckets as counters; `Shown` makes the scraped histogram from
them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.samples import Sample

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the buckets of all durations."""

_PARTS = ("_bucket", "_sum")


class Tally:
    """Observations since the last flush; of seconds, unless `bounds` are given.

    They are kept one by one until somebody asks for `counts` or `total`. An api process does that once a second.
    """

    __slots__ = ("_bounds", "_counts", "_seen", "_total", "add")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._seen: list[float] = []
        self.add = self._seen.append
        """Count an observation."""

    @property
    def counts(self) -> list[int]:
        """How many observations each bucket has; the last one has no bound."""
        self._sort()
        return self._counts

    @property
    def total(self) -> float:
        """The sum of the observations."""
        self._sort()
        return self._total

    def _sort(self) -> None:
        seen = sorted(self._seen)
        self._seen.clear()
        self._total += sum(seen)
        start = 0
        for place, bound in enumerate(self._bounds):
            end = bisect_right(seen, bound)
            self._counts[place] += end - start
            start = end
        self._counts[-1] += len(seen) - start

    def merge(self, other: Tally) -> None:
        """Count the observations of another tally."""
        self._counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self._total += other.total


class Durations:
    """A histogram with one label; of seconds, unless `bounds` are given."""

    def __init__(
        self, name: str, text: str, label: str, registry: CollectorRegistry, bounds: Sequence[float] = SECONDS
    ) -> None:
        self._bounds = bounds
        self._le = [str(bound) for bound in bounds] + ["+Inf"]
        self._buckets = Counter(f"{name}_bucket", text, (label, "le"), registry=registry)
        self._sum = Counter(f"{name}_sum", text, (label,), registry=registry)
        self._tallies: dict[str, Tally] = {}

    def add(self, value: str, observed: float) -> None:
        """Count an observation for a value of the label."""
        tally = self._tallies.get(value)
        if tally is None:
            tally = self._tallies[value] = Tally(self._bounds)
        tally.add(observed)

    def flush(self) -> Mapping[str, Tally]:
        """Add the observations to Prometheus' counters, and return them."""
        flushed, self._tallies = self._tallies, {}
        for value, tally in flushed.items():
            self.count(value, tally)
        return flushed

    def count(self, value: str, tally: Tally) -> None:
        """Add the observations for a value of the label to Prometheus' counters."""
        for bound, count in zip(self._le, tally.counts, strict=True):
            # A bucket with 0 observations is shown, too.
            self._buckets.labels(value, bound).inc(count)
        self._sum.labels(value).inc(tally.total)


def quantile(counts: Iterable[int], share: float) -> float | None:
    """The upper bound of the bucket that contains a quantile; None without observations or bound."""
    sums = list(accumulate(counts))
    if not sums or not sums[-1]:
        return None
    place = bisect_left(sums, share * sums[-1])
    return SECONDS[place] if place < len(SECONDS) else None


def estimate(counts: Iterable[int], share: float) -> float | None:
    """A quantile as if the observations in its bucket were spread evenly; None without observations or bound."""
    every = list(counts)
    most = quantile(every, share)
    if most is None:
        return None
    place = SECONDS.index(most)
    least = SECONDS[place - 1] if place else 0.0
    return least + (most - least) * (share * sum(every) - sum(every[:place])) / every[place]


class Shown:
    """Makes the scraped metrics from those that the library keeps: `names` are histograms, `totals` counters kept as
    gauges.

    Of the samples with a shard, only those of `shards` are shown, or all if it is None.
    """

    def __init__(
        self, kept: CollectorRegistry, names: Iterable[str], totals: Iterable[str], shards: frozenset[str] | None = None
    ) -> None:
        self._kept = kept
        self._shards = shards
        self._parts = {name + part: (name, part) for name in names for part in _PARTS}
        self._totals = frozenset(totals)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are not checked a second time."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Make all metrics."""
        parts: dict[str, dict[str, Metric]] = {}
        for family in self._kept.collect():
            if self._shards is not None:
                shown = self._shards | {None}
                family.samples = [each for each in family.samples if each.labels.get("shard") in shown]
            if family.name in self._parts:
                name, part = self._parts[family.name]
                parts.setdefault(name, {})[part] = family
            elif family.name in self._totals:
                counter = Metric(family.name.removesuffix("_total"), family.documentation, "counter")
                counter.samples = family.samples
                yield counter
            else:
                yield family
        for name, found in parts.items():
            yield _histogram(name, found)


def _histogram(name: str, found: Mapping[str, Metric]) -> Metric:
    histogram = Metric(name, next(iter(found.values())).documentation, "histogram")
    counts: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in _totals(found.get("_bucket")):
        labels = tuple(item for item in sorted(sample.labels.items()) if item[0] != "le")
        of_labels = counts.setdefault(labels, {})
        of_labels[sample.labels["le"]] = of_labels.get(sample.labels["le"], 0) + sample.value
    for labels, by_bound in counts.items():
        so_far = 0.0
        for bound in sorted(by_bound, key=float):
            so_far += by_bound[bound]
            histogram.add_sample(f"{name}_bucket", {**dict(labels), "le": bound}, so_far)
        histogram.add_sample(f"{name}_count", dict(labels), so_far)
    for sample in _totals(found.get("_sum")):
        histogram.add_sample(f"{name}_sum", sample.labels, sample.value)
    return histogram


def _totals(family: Metric | None) -> list[Sample]:
    """The samples of a counter, without those that give the time of its creation."""
    return [] if family is None else [sample for sample in family.samples if sample.name.endswith("_total")]
