"""`GET /api/status`: the state of the system, for the console, the command line and scripts."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from api.http.endpoint import Authenticator, Endpoint, Principal
from api.http.negotiation import accepted
from api.http.query import parameters
from api.http.request import Request
from api.http.response import Answer, document
from api.ops.durations import estimate
from api.ops.findings import findings
from api.ops.process_reports import ProcessReports
from api.ops.queue_view import Memory, Queue, View
from api.ops.recent import newest, p99_s
from api.ops.shard_status import ShardStatus, Told
from protocol.names import may_be_of_one_cluster
from protocol.readers import reader
from protocol.settings import BatchSettings
from protocol.version import VERSION

FRESH_S = 1.0
"""An answer is reused for this long: a console asks every second or two, and there may be many."""

Report = dict[str, Any]


class Status(Endpoint):
    """`GET /api/status`: shards, queues, lanes, moves, workers, api processes and the last problems."""

    path = "/api/status"
    method = "GET"
    answers_head = True
    scope = "observe"
    max_body = 0

    def __init__(
        self,
        shards: ShardStatus,
        reports: ProcessReports,
        view: Callable[[], Awaitable[View]],
        authenticator: Authenticator,
        limits: BatchSettings,
    ) -> None:
        super().__init__(authenticator, limits)
        self._shards = shards
        self._reports = reports
        self._view = view
        self._made_at = float("-inf")
        self._making: asyncio.Task[Report] | None = None

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        parameters(request.query, ())
        if self._making is None or (self._making.done() and time.monotonic() - self._made_at >= FRESH_S):
            self._making = asyncio.create_task(self._make(), name="status.make")
        content = await asyncio.shield(self._making)
        return document(content, accepted(request.headers.get(b"accept")))

    async def _make(self) -> Report:
        told, (queues, memory) = await asyncio.gather(self._shards.fresh(), self._view())
        reports = self._reports.all()
        self._made_at = time.monotonic()
        report = {
            "at": round(time.time(), 3),
            "version": VERSION,
            "host": socket.gethostname(),
            "requests": _requests(reports),
            "shards": [_shard(shard, told.get(shard), reports) for shard in queues],
            "queues": [_queue(shard, queue, reports) for shard, queue in queues.items()],
            "lanes": _lanes(reports, memory),
            "moves": _moves(told),
            "workers": _workers(queues),
            "api": [_process(report) for report in reports],
            "problems": newest(list(chain.from_iterable(report["problems"] for report in reports))),
        }
        return {**report, "findings": [finding._asdict() for finding in findings(report)]}


def _requests(reports: Sequence[Report]) -> Report:
    """How many requests were answered in a second, and how long they took."""
    rates: dict[str, float] = {}
    counts: list[int] = []
    for report in reports:
        for status, tally in report["answers"].items():
            rates[status] = rates.get(status, 0.0) + sum(tally) / report["seconds"]
            counts = [a + b for a, b in zip(counts, tally, strict=True)] if counts else list(tally)
        if report["refused"]:
            rates["503"] = rates.get("503", 0.0) + report["refused"] / report["seconds"]
    p50, p99 = estimate(counts, 0.5), estimate(counts, 0.99)
    return {
        "per_s": round(sum(rates.values()), 2),
        "p50_s": None if p50 is None else round(p50, 5),
        "p99_s": None if p99 is None else round(p99, 5),
        "by_status": {status: round(rates[status], 2) for status in sorted(rates)},
    }


def _oldest_s(shard: str, reports: Sequence[Report]) -> float:
    return round(max((report["oldest_s"].get(shard, 0.0) for report in reports), default=0.0), 3)


def _shard(shard: str, told: Told | None, reports: Sequence[Report]) -> Report:
    """A row for a shard. Numbers that it has not reported are null."""
    counts = [report["chunks"][shard] for report in reports if shard in report["chunks"]]
    summed = [sum(column) for column in zip(*counts, strict=True)]
    rate = sum(sum(report["chunks"].get(shard, ())) / report["seconds"] for report in reports)
    status = told.status if told is not None else None
    answers = told is not None and told.answers
    return {
        "shard": shard,
        "state": "down" if not answers or status is None else "read_only" if status.ro else "up",
        "leader": answers and status is not None and not status.ro,
        "told_s_ago": None if told is None or status is None else round(time.monotonic() - told.at, 3),
        "keys": status and status.keys,
        "expiring_keys": status and status.expiring_keys,
        "memory_used_bytes": status and status.memory_used,
        "memory_limit_bytes": status and status.memory_limit,
        "expiry_lag_s": None if status is None else status.expiry_lag_ms / 1000,
        "clock_skew_s": None if told is None or status is None else round(told.skew_s, 3),
        "chunks_per_s": round(rate, 1),
        "p99_s": p99_s(summed),
        "oldest_s": _oldest_s(shard, reports),
    }


def _queue(shard: str, queue: Queue, reports: Sequence[Report]) -> Report:
    return {
        "shard": shard,
        "depth": queue.depth,
        "in_hand": queue.in_hand,
        "redelivered": queue.redelivered,
        "oldest_s": _oldest_s(shard, reports),
        "workers": None if queue.workers is None else len(queue.workers),
    }


def _lanes(reports: Sequence[Report], memory: Mapping[str, Memory]) -> list[Report]:
    """A row for each lane as this process, the first to report, sees it; the number of frames is of all processes."""
    rates: dict[str, float] = {}
    for lane in chain.from_iterable(report.get("lanes", ()) for report in reports):
        rates[lane["lane"]] = rates.get(lane["lane"], 0.0) + lane["frames_per_s"]
    total = sum(rates.values())
    return [
        {
            **lane,
            "frames_per_s": round(rates[lane["lane"]], 1),
            "share": round(rates[lane["lane"]] / total, 4) if total else None,
            "memory_used_bytes": memory.get(lane["lane"], Memory()).used,
            "memory_limit_bytes": memory.get(lane["lane"], Memory()).limit,
        }
        for lane in reports[0]["lanes"]
    ]


def _moves(told: Mapping[str, Told]) -> list[Report]:
    """A row for each pair of shards between which buckets move."""
    return [
        {
            "source": shard,
            "target": move.target,
            "done": move.done,
            "total": move.total,
            "left_s": None if move.left_ms is None else move.left_ms / 1000,
            "told_s_ago": round(time.monotonic() - each.at + move.age_ms / 1000, 3),
        }
        for shard, each in sorted(told.items())
        for move in (each.status.moves if each.status is not None and each.answers else ())
    ]


def _workers(queues: Mapping[str, Queue]) -> list[Report] | None:
    """A row for each worker that is present at some shard; None if Redis does not name them."""
    if all(queue.workers is None for queue in queues.values()):
        return None
    rows: dict[str, Report] = {}
    for position, (shard, queue) in enumerate(sorted(queues.items())):
        reading = _readers(list(queue.workers or ()), position)
        for name, said_ms in (queue.workers or {}).items():
            cluster, _, place = name.rpartition("/")
            host, pid, *_ = (*place.split(":"), "")
            row = rows.setdefault(
                name,
                {"worker": name, "cluster": cluster, "host": host, "pid": pid, "in_hand": 0, "shards": [], "reads": []},
            )
            row["shards"].append(shard)
            if name in reading:
                row["reads"].append(shard)
            row["in_hand"] += (queue.by_worker or {}).get(name, 0)
            row["seen_at"] = max(row.get("seen_at", 0.0), said_ms / 1000)
    return [rows[name] for name in sorted(rows)]


def _readers(present: Sequence[str], position: int) -> set[str]:
    """The workers that read a shard: one of each cluster that has workers there."""
    found = set()
    for name in present:
        others = [other for other in present if may_be_of_one_cluster(other.encode(), name.encode())]
        found.add(reader(others, position))
    return found


def _process(report: Report) -> Report:
    names = ("process", "pid", "version", "started_at", "memory_bytes", "waiting", "resent")
    return {
        **{name: report[name] for name in names},
        "requests_per_s": round(report["requests"] / report["seconds"], 1),
        "oldest_s": round(max(report["oldest_s"].values(), default=0.0), 3),
    }
