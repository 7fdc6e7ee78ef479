"""What the api counts, for Prometheus.

With several api processes each writes its numbers to files in `PROMETHEUS_MULTIPROC_DIR`, and whichever process is
asked for `/metrics` adds them up; `api.__main__` makes that directory.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from api.ops.scan_metrics import ScanMetrics
from protocol.operations import Status
from protocol.version import VERSION

MULTIPROCESS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_KEYS = (1, 10, 100, 1000, 10_000)


_SHARD_GAUGES = {
    "claims": ("tarantkv_claims", "Requests with an Idempotency-Key that a shard remembers."),
    "claim_bytes": ("tarantkv_claim_bytes", "Memory that they take on the shard, with their indexes."),
    "records": ("tarantkv_chunk_records", "Records of applied chunks on a shard."),
    "record_bytes": ("tarantkv_chunk_record_bytes", "Memory that they take, with their indexes."),
    "memory_used": ("tarantkv_shard_memory_used_bytes", "Memory in use by a shard's data."),
    "memory_limit": ("tarantkv_shard_memory_limit_bytes", "Memory that a shard has for its data."),
    "expiring_keys": ("tarantkv_expiring_keys", "Keys of a shard that expire at some time."),
    "expired_keys": ("tarantkv_expired_keys_total", "Keys that a shard has removed as they had expired."),
    "expiry_lag_ms": (
        "tarantkv_expiry_lag_seconds",
        "For how long the key has been expired that a shard removes next; nobody is shown it any more.",
    ),
}
"""Name and help of each gauge of a shard, by what the shard calls it."""


class Metrics:
    """The counters of one api process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tarantkv_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "tarantkv_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._keys = Histogram(
            "tarantkv_batch_keys", "Keys in a batch.", ("route",), buckets=_KEYS, registry=self._registry
        )
        self._outcomes = Counter(
            "tarantkv_chunk_outcomes", "Outcomes of chunks.", ("shard", "status"), registry=self._registry
        )
        self._resent = Counter(
            "tarantkv_chunks_resent", "Chunks sent again after Redis was lost.", registry=self._registry
        )
        self._conditions_failed = Counter(
            "tarantkv_conditions_failed",
            "Keys that a change left alone, as a condition did not hold or they are no counters.",
            ("route", "code"),
            registry=self._registry,
        )
        self._waiting = Gauge(
            "tarantkv_chunks_waiting",
            "Chunks that wait for their outcome.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        build = Gauge(
            "tarantkv_build_info",
            "The version of tarant-kv and of Python, as labels; the value is always 1.",
            ("version", "python"),
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        build.labels(VERSION, platform.python_version()).set(1)
        self._shards = {
            field: Gauge(name, text, ("shard",), registry=self._registry, multiprocess_mode="mostrecent")
            for field, (name, text) in _SHARD_GAUGES.items()
        }
        self.scans = ScanMetrics(self._registry)
        # Looking a child up by its labels costs more than counting.
        self._batch_children: dict[str, Histogram] = {}
        self._outcome_children: dict[tuple[str, int], Counter] = {}
        self._request_children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        children = self._request_children.get((route, status))
        if children is None:
            children = (self._requests.labels(route, str(status)), self._seconds.labels(route))
            self._request_children[route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def refused(self, route: str, requests: int) -> None:
        """Count requests that were answered 503 before anything of them was looked at; they have no time."""
        self._requests.labels(route, "503").inc(requests)

    def batch(self, route: str, keys: int) -> None:
        """Count the keys of a batch."""
        child = self._batch_children.get(route)
        if child is None:
            child = self._batch_children[route] = self._keys.labels(route)
        child.observe(keys)

    def outcomes(self, shard: str, status: int, chunks: int) -> None:
        """Count what became of chunks."""
        child = self._outcome_children.get((shard, status))
        if child is None:
            known = status in Status.__members__.values()
            name = Status(status).name.lower() if known else str(status)
            child = self._outcome_children[shard, status] = self._outcomes.labels(shard, name)
        child.inc(chunks)

    def conditions_failed(self, route: str, code: str, keys: int) -> None:
        """Count keys that were left alone."""
        self._conditions_failed.labels(route, code).inc(keys)

    def resent(self, chunks: int) -> None:
        """Count chunks that were sent again."""
        self._resent.inc(chunks)

    def waiting(self, chunks: int) -> None:
        """Set how many chunks wait."""
        self._waiting.set(chunks)

    def shard(self, shard: str, status: Mapping[str, int]) -> None:
        """Set what a shard says of itself."""
        for field, gauge in self._shards.items():
            gauge.labels(shard).set(status[field] / 1000 if field.endswith("_ms") else status[field])

    def render(self) -> bytes:
        """All counters, of all processes, in Prometheus' text format."""
        if MULTIPROCESS_DIRECTORY not in os.environ:
            return generate_latest(self._registry)
        _forget_the_dead(Path(os.environ[MULTIPROCESS_DIRECTORY]))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library leaves it untyped
        return generate_latest(registry)


def _forget_the_dead(directory: Path) -> None:
    """Leave processes that have died out of what counts the living; their counters stay."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]  # the library leaves it untyped
