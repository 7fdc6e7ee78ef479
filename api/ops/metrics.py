"""The metrics of the api, for Prometheus.

If there are several api processes, each writes its numbers to files in `PROMETHEUS_MULTIPROC_DIR`, and the process that
answers `/metrics` adds them up; `api.__main__` makes that directory.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from api.ops.durations import Durations, Shown, Tally
from api.ops.recent import Answers
from api.ops.scan_metrics import ScanMetrics
from api.queue.lanes import LaneView
from protocol.compiled import use
from protocol.operations import Status
from protocol.version import VERSION

MULTIPROCESS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

_KEYS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)


_SHARD_GAUGES = {
    "claims": ("tarantkv_claims", "Claims on a shard: requests with an Idempotency-Key that it remembers."),
    "claim_bytes": ("tarantkv_claim_bytes", "Memory of a shard's claims, with their indexes."),
    "records": ("tarantkv_chunk_records", "Applied records on a shard."),
    "record_bytes": ("tarantkv_chunk_record_bytes", "Memory of a shard's applied records, with their indexes."),
    "memory_used": ("tarantkv_shard_memory_used_bytes", "Memory that a shard's data uses."),
    "memory_limit": ("tarantkv_shard_memory_limit_bytes", "Memory that a shard has for its data."),
    "keys": ("tarantkv_keys", "Keys of a shard, including expired keys that are not removed yet."),
    "expiring_keys": ("tarantkv_expiring_keys", "Keys of a shard that have an expiry."),
    "expired_keys": ("tarantkv_expired_keys_total", "Expired keys that a shard has removed."),
    "expiry_lag_ms": (
        "tarantkv_expiry_lag_seconds",
        "How long ago the key expired that a shard removes next. No answer contains an expired key.",
    ),
}
"""Name and help of each gauge of a shard, by the shard's name for it."""

_TOTALS = ("tarantkv_expired_keys_total",)
"""Counters that the shards keep. They are gauges here, because several api processes get the same number from a
shard."""

REQUESTS = "tarantkv_request_duration_seconds"
BATCHES = "tarantkv_batch_keys"
STAGES = "tarantkv_stage_duration_seconds"
CHUNKS = "tarantkv_chunk_duration_seconds"

HISTOGRAMS = (REQUESTS, BATCHES, STAGES, CHUNKS)


class Metrics:
    """The counters of one api process."""

    def __init__(self) -> None:
        self.shards: frozenset[str] | None = None
        """Series of other shards are not shown; None: all are shown. The numbers of a removed shard are kept, in case
        it returns: the library cannot remove a series from files that processes share."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tarantkv_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Durations(
            REQUESTS, "Time from the arrival of a request's head to the end of its answer.", "route", self._registry
        )
        self._keys = Durations(BATCHES, "Keys in a batch.", "route", self._registry, _KEYS)
        self._outcomes = Counter(
            "tarantkv_chunk_outcomes", "Outcomes of chunks.", ("shard", "status"), registry=self._registry
        )
        self._resent = Counter(
            "tarantkv_chunks_resent",
            "Chunks that were sent again after a Redis server had failed or lost its data.",
            registry=self._registry,
        )
        self._conditions_failed = Counter(
            "tarantkv_conditions_failed",
            "Keys that were not changed because a condition did not hold or the value is not a counter.",
            ("route", "code"),
            registry=self._registry,
        )
        self._waiting = Gauge(
            "tarantkv_chunks_waiting",
            "Chunks that wait for their outcome.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.stages = Durations(STAGES, "Time that requests spend in a stage.", "stage", self._registry)
        self.chunks = Durations(
            CHUNKS, "Time from a chunk's hand-over to the sender until its outcome.", "shard", self._registry
        )
        self._oldest = Gauge(
            "tarantkv_queue_oldest_seconds",
            "How long the oldest chunk of all api processes has waited for its outcome.",
            ("shard",),
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self._memory = Gauge(
            "tarantkv_api_memory_bytes",
            "Resident memory of all api processes.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._leader = Gauge(
            "tarantkv_shard_leader",
            "Whether a shard answers and has a leader, which takes changes: 1 or 0.",
            ("shard",),
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._skew = Gauge(
            "tarantkv_clock_skew_seconds",
            "How far a shard's clock is ahead of this api's. The error is at most half of the time that asking took.",
            ("shard",),
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._lane_up = Gauge(
            "tarantkv_redis_lane_up",
            "Whether a Redis lane works for every api process: 1 or 0.",
            ("lane",),
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._lane_shards = Gauge(
            "tarantkv_redis_lane_shards",
            "Number of shards whose chunks a Redis lane carries. Of several api processes, the highest number counts.",
            ("lane",),
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        build = Gauge(
            "tarantkv_build_info",
            "Always 1. The labels are the versions of tarant-kv and Python, and whether compiled modules are used.",
            ("version", "python", "compiled"),
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        build.labels(VERSION, platform.python_version(), "yes" if use().used else "no").set(1)
        self._shards = {
            field: Gauge(name, text, ("shard",), registry=self._registry, multiprocess_mode="mostrecent")
            for field, (name, text) in _SHARD_GAUGES.items()
        }
        self.scans = ScanMetrics(self._registry)
        self._answers = Answers()
        self.chunks_resent = 0
        """Chunks that were sent again since the process started."""
        # A look-up of a child by its labels costs more than counting.
        self._outcome_children: dict[tuple[str, int], Counter] = {}
        self._answered: dict[tuple[str, int], Tally] = {}
        """Answered requests since the last flush, by route and status."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        tally = self._answered.get((route, status))
        if tally is None:
            tally = self._answered[route, status] = Tally()
        tally.add(seconds)

    def refused(self, route: str, requests: int) -> None:
        """Count requests that were rejected with 503 before they were processed; they have no duration."""
        self._requests.labels(route, "503").inc(requests)
        if Answers.counts(route):
            self._answers.refused += requests

    def batch(self, route: str, keys: int) -> None:
        """Count the keys of a batch."""
        self._keys.add(route, keys)

    def outcomes(self, shard: str, status: int, chunks: int) -> None:
        """Count the outcomes of chunks."""
        child = self._outcome_children.get((shard, status))
        if child is None:
            known = status in Status.__members__.values()
            name = Status(status).name.lower() if known else str(status)
            child = self._outcome_children[shard, status] = self._outcomes.labels(shard, name)
        child.inc(chunks)

    def conditions_failed(self, route: str, code: str, keys: int) -> None:
        """Count keys that a shard checked and did not change."""
        self._conditions_failed.labels(route, code).inc(keys)

    def resent(self, chunks: int) -> None:
        """Count chunks that were sent again."""
        self._resent.inc(chunks)
        self.chunks_resent += chunks

    def took(self, shard: str, seconds: float) -> None:
        """Count how long a chunk took."""
        self.chunks.add(shard, seconds)

    def stage(self, stage: str, seconds: float) -> None:
        """Count how long a stage took."""
        self.stages.add(stage, seconds)

    def process(self, waiting: int, oldest_s: Mapping[str, float], memory: int) -> None:
        """Set the gauges of this process: chunks that wait, how long the oldest has waited, and bytes of memory."""
        self._waiting.set(waiting)
        for shard, seconds in oldest_s.items():
            self._oldest.labels(shard).set(seconds)
        self._memory.set(memory)

    def lanes(self, lanes: Iterable[LaneView]) -> None:
        """Set the gauges of each lane."""
        for lane in lanes:
            self._lane_up.labels(lane.name).set(lane.up)
            self._lane_shards.labels(lane.name).set(len(lane.shards))

    def shard(self, shard: str, status: Mapping[str, int], *, skew_s: float) -> None:
        """Set the gauges of a shard, from its own report."""
        for field, gauge in self._shards.items():
            gauge.labels(shard).set(status[field] / 1000 if field.endswith("_ms") else status[field])
        self._skew.labels(shard).set(skew_s)

    def _hand_over(self) -> None:
        """Add the counts of requests and batches to Prometheus' counters."""
        answered, self._answered = self._answered, {}
        for (route, status), tally in answered.items():
            self._requests.labels(route, str(status)).inc(sum(tally.counts))
            self._seconds.count(route, tally)
            if Answers.counts(route):
                self._answers.add(status, tally)
        self._keys.flush()

    def flush(self) -> tuple[Mapping[str, Tally], int, Answers]:
        """Add the counts since the last call to Prometheus' counters. Returns the chunks of each shard, the requests
        started, and the answers.
        """
        self._hand_over()
        stages = self.stages.flush()
        answers, self._answers = self._answers, Answers()
        return self.chunks.flush(), sum(stages["gate"].counts) if "gate" in stages else 0, answers

    def leader(self, shard: str, *, there: bool) -> None:
        """Set whether a shard takes changes."""
        self._leader.labels(shard).set(there)

    def render(self) -> bytes:
        """All metrics of all processes, in Prometheus' text format; those of other processes as of their last flush."""
        self._hand_over()
        kept = self._registry
        if MULTIPROCESS_DIRECTORY in os.environ:
            _forget_the_dead(Path(os.environ[MULTIPROCESS_DIRECTORY]))
            kept = CollectorRegistry()
            MultiProcessCollector(kept)  # type: ignore[no-untyped-call]  # the library leaves it untyped
        registry = CollectorRegistry()
        registry.register(Shown(kept, HISTOGRAMS, _TOTALS, self.shards))
        return generate_latest(registry)


def _forget_the_dead(directory: Path) -> None:
    """Remove dead processes from the gauges that count living ones; their counters are kept."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]  # the library leaves it untyped
