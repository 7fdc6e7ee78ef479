"""The results: tarant-kv's figures divided by its peers', and whether they reach the promised ratios.

Each round gives a ratio of two measurements that follow each other, and the result is the median of these ratios. So an
event that slows down the machine for a minute slows down both sides of a ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec

from loadtest.bench.plan import MAIN_CONNECTIONS, Combination, Operation
from loadtest.bench.results import Measurement, by_system

CLUSTER = "cluster"
"""tarant-kv with three instances for each shard, all on this machine. It needs Tarantool 3 and vshard."""

TARGETS: dict[tuple[str, Operation], dict[int, float]] = {
    ("fastapi", "write"): {1: 1.2, 10: 1.3, 100: 1.3, 1000: 1.7},
    ("fastapi", "read"): {1: 1.2, 10: 1.2, 100: 1.2, 1000: 1.4},
    ("taskiq", "write"): {1: 8, 10: 10, 100: 8, 1000: 3},
    ("taskiq", "read"): {1: 8, 10: 10, 100: 8, 1000: 3},
}
"""The least ratio of keys/s at the main number of connections, by peer, operation and batch."""

OF_CLUSTER: dict[Operation, float] = {"write": 0.3, "read": 0.95}
"""The least ratio of the cluster's keys/s to those with one instance for each shard, at the main number of connections,
by operation."""

MAX_LATENCY = {"50": 2.0, "99": 4.0}
"""The largest ratio of latency to FastAPI's for one key at a time on one connection, by percentile."""


class Ratio(msgspec.Struct, frozen=True):
    """tarant-kv's figure divided by a peer's."""

    peer: str
    combination: Combination
    figure: str
    value: float
    target: float | None = None
    at_most: bool = False

    @property
    def passed(self) -> bool | None:
        """Whether it reaches its target; None if it has none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def paired(ours: Sequence[Measurement], theirs: Sequence[Measurement], figure: Callable[[Measurement], float]) -> float:
    """The median over the rounds of the ratio of a figure; 0 if there is nothing to compare."""
    by_round = {measurement.round: measurement for measurement in theirs}
    values = [
        figure(measurement) / figure(by_round[measurement.round])
        for measurement in ours
        if measurement.round in by_round and figure(by_round[measurement.round])
    ]
    return median(values) if values else 0.0


def compare(measurements: Iterable[Measurement], system: str, peers: Iterable[str]) -> list[Ratio]:
    """Throughput, latency and CPU time of a system against each peer, for every load that both had."""
    groups = by_system(measurements)
    found = []
    for peer in peers:
        for (name, combination), ours in groups.items():
            theirs = groups.get((peer, combination))
            if name == system and theirs is not None:
                found += _ratios(peer, combination, ours, theirs)
    return found


def _ratios(
    peer: str, combination: Combination, ours: Sequence[Measurement], theirs: Sequence[Measurement]
) -> list[Ratio]:
    def ratio(name: str, figure: Callable[[Measurement], float], target: float | None, *, at_most: bool) -> Ratio:
        return Ratio(peer, combination, name, paired(ours, theirs, figure), target, at_most)

    found = [
        ratio("keys/s", lambda m: m.keys_per_s, _throughput_target(peer, combination), at_most=peer == CLUSTER),
        ratio("CPU", lambda m: m.system_cpu_us_per_request, None, at_most=True),
    ]
    for percentile in MAX_LATENCY:
        target = _latency_target(peer, combination, percentile)
        found.append(
            ratio(f"p{percentile}", lambda m, p=percentile: m.load.latency_us[p], target, at_most=True)  # type: ignore[misc]
        )
    return found


def _throughput_target(peer: str, combination: Combination) -> float | None:
    if combination.connections != MAIN_CONNECTIONS or combination.values != "string" or combination.share:
        return None
    if peer == CLUSTER:
        least = OF_CLUSTER.get(combination.operation)
        return None if least is None else 1 / least
    return TARGETS.get((peer, combination.operation), {}).get(combination.batch)


def _latency_target(peer: str, combination: Combination, percentile: str) -> float | None:
    if peer != "fastapi":
        return None
    if combination.share and percentile == "99":
        return 1.0
    if combination.connections == 1 and combination.batch == 1:
        return MAX_LATENCY[percentile]
    return None
