"""A scripted shard and stream, and chunks and frames for the tests of the worker's parts."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import redis

from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome, decode_reply, encode_frame
from protocol.operations import Operation, Status
from protocol.settings import WorkerSettings
from worker.errors import ShardUnreachableError
from worker.frames import GIVE_UP_MS, Turn
from worker.group import Entry
from worker.stream import Delivery, Report

SETTINGS = WorkerSettings(call_keys=10, call_bytes=1024, call_timeout_s=0.5, claim_idle_s=1.0)
SERVER = "a" * 40
DOWN = ShardUnreachableError("connection refused", sent=False)
LOST = ShardUnreachableError("timed out", sent=True)
SOON_MS = GIVE_UP_MS + 60

Result = ShardUnreachableError | list[tuple[int, Any]]


class FakeShard:
    """Gives its results in turn, one to each call, and then always the last one; records the calls."""

    name = "s1"
    cluster = ""

    def __init__(self, *results: Result, replicas: bool = False) -> None:
        self.has_replicas = replicas
        self.connected = True
        self.calls: list[list[Chunk]] = []
        self.on_call: Callable[[], None] = lambda: None
        self.freed = 0
        self.results = list(results)

    def connect(self) -> None:
        self.connected = True

    def apply(self, chunks: Sequence[Chunk]) -> list[tuple[int, Any]]:
        self.calls.append(list(chunks))
        self.on_call()
        if not self.results:
            return [(Status.OK, None)] * len(chunks)
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, ShardUnreachableError):
            self.disconnect()
            raise result
        return result

    def disconnect(self) -> None:
        self.connected = False

    def free_room(self) -> None:
        self.freed += 1


class FakeRedis:
    """Redis as a loop's group, stream, takeover and presence. `reports` has the reports that it accepted.

    `shared` are frames that others were given too, `lost` those that are a peer's now.
    """

    lane = ""

    def __init__(self, *deliveries: Delivery) -> None:
        self.reports: list[Report] = []
        self.shared: set[bytes] = set()
        self.lost: set[bytes] = set()
        self.broken = False
        self.disconnected = 0
        self.left = 0
        self._deliveries = list(deliveries)

    def _check(self) -> None:
        if self.broken:
            raise redis.ConnectionError("gone")

    def ensure(self) -> None:
        self._check()

    def disconnect(self) -> None:
        self.disconnected += 1

    def read(self, report: Report, *, block: bool) -> Delivery:
        del block
        self._check()
        if not report.empty:
            self.reports.append(report)
        return self._deliveries.pop(0) if self._deliveries else delivery()

    def report(self, report: Report) -> Sequence[bytes]:
        self._check()
        shared = [entry_id for entry_id in report.sole if entry_id in self.shared]
        if not shared and not report.empty:
            self.reports.append(report)
        return shared

    def renew(self, entry_ids: Sequence[bytes], server: str) -> Sequence[bytes]:
        del server
        self._check()
        return [entry_id for entry_id in entry_ids if entry_id in self.lost]

    def take_over(self) -> Delivery:
        return delivery()

    def announce(self) -> list[bytes]:
        return []

    def forget_dead_consumers(self) -> None:
        self._check()

    def leave(self) -> None:
        self._check()
        self.left += 1


def chunk(number: int, *, in_ms: int = 5000, operation: int = Operation.WRITE, keys: int = 1, size: int = 4) -> Chunk:
    """A chunk whose deadline is this many milliseconds from now."""
    return Chunk(bytes([number]) * 16, operation, now_ms() + in_ms, 0, keys, b"x" * size)


def entry(*chunks: Chunk, stream: str = "reply:a", number: int = 1, server: str = SERVER) -> Entry:
    """An entry of a stream that was appended now."""
    data = encode_frame(stream, {}, list(chunks), server=server, sent_ms=now_ms())
    return Entry(f"{now_ms()}-{number}".encode(), data)


def delivery(*entries: Entry, redelivered: bool = False, asked_s_ago: float = 0.0) -> Delivery:
    """A delivery, as a read returns it."""
    return Delivery(entries, time.monotonic() - asked_s_ago, now_ms(), SERVER, redelivered)


def turn_of(*entries: Entry, redelivered: bool = False, asked_s_ago: float = 0.0) -> Turn:
    """A turn with these frames in hand."""
    return Turn("s1", delivery(*entries, redelivered=redelivered, asked_s_ago=asked_s_ago))


def outcomes_in(*reports: Report) -> list[Outcome]:
    """The outcomes that were reported, in order."""
    return [outcome for report in reports for _, data in report.replies for outcome in decode_reply(data).outcomes]


def statuses(*reports: Report) -> dict[int, int]:
    """The status reported for each chunk, by the number that it was made with."""
    return {outcome.id[0]: outcome.status for outcome in outcomes_in(*reports)}


def numbers(chunks: Sequence[Chunk]) -> list[int]:
    """The numbers that chunks were made with."""
    return [chunk.id[0] for chunk in chunks]
