"""The rates, times and problems of this process in the last seconds, for `/api/status`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from api.ops.durations import Tally, quantile

WINDOW_S = 10.0
"""Rates and times are of this many seconds."""

MAX_PROBLEMS = 100


class Answered(NamedTuple):
    """A request that failed. `at` is Unix time in seconds."""

    at: float
    request_id: str
    method: str
    route: str
    status: int
    ms: float


class Problems:
    """The last requests that failed. Those with 500 and above are kept separately, so that others cannot push them
    out.
    """

    def __init__(self) -> None:
        self._theirs: deque[Answered] = deque(maxlen=MAX_PROBLEMS)
        self._ours: deque[Answered] = deque(maxlen=MAX_PROBLEMS)

    def add(self, request_id: bytes, method: str, route: str, status: int, seconds: float) -> None:
        """Keep a failed request."""
        kept = self._ours if status >= 500 else self._theirs
        kept.append(Answered(time.time(), request_id.decode("ascii"), method, route, status, round(seconds * 1000, 2)))

    def all(self) -> list[Answered]:
        """All requests that are kept."""
        return [*self._theirs, *self._ours]


def newest(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest problems first, as many as are shown; at least half of the places are for those with 500 and above."""
    ours = sorted((each for each in problems if each["status"] >= 500), key=_at, reverse=True)
    theirs = sorted((each for each in problems if each["status"] < 500), key=_at, reverse=True)
    room = max(MAX_PROBLEMS // 2, MAX_PROBLEMS - len(theirs))
    shown = ours[:room]
    return sorted((*shown, *theirs[: MAX_PROBLEMS - len(shown)]), key=_at, reverse=True)


def _at(problem: Mapping[str, Any]) -> float:
    at: float = problem["at"]
    return at


class Answers:
    """Answers to requests, by status, and how many requests were rejected before they were processed.

    Exports and imports are not counted, because their time depends on their size.
    """

    __slots__ = ("by_status", "refused")

    def __init__(self) -> None:
        self.by_status: dict[int, Tally] = {}
        self.refused = 0

    @staticmethod
    def counts(route: str) -> bool:
        """Whether answers of a route are counted."""
        return route.startswith("/api/") and route not in ("/api/status", "/api/export", "/api/import")

    def add(self, status: int, answers: Tally) -> None:
        """Count answers."""
        tally = self.by_status.get(status)
        if tally is None:
            tally = self.by_status[status] = Tally()
        tally.merge(answers)


class Recent:
    """The tallies of the last seconds, one for each flush."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._flushed: deque[tuple[float, Mapping[str, Tally], int, Answers]] = deque()

    def add(self, chunks: Mapping[str, Tally], requests: int, answers: Answers) -> None:
        """Add what was counted since the last call: the chunks of each shard, requests, and answers."""
        now = self._clock()
        self._flushed.append((now, chunks, requests, answers))
        while self._flushed and self._flushed[0][0] < now - WINDOW_S:
            self._since = self._flushed.popleft()[0]

    def chunks(self) -> dict[str, list[int]]:
        """Chunks of each shard in the buckets of `api.ops.durations`."""
        counts: dict[str, list[int]] = {}
        for _, tallies, _, _ in self._flushed:
            for shard, tally in tallies.items():
                _add(counts, shard, tally)
        return counts

    def answers(self) -> dict[str, list[int]]:
        """Answers by status in the same buckets."""
        counts: dict[str, list[int]] = {}
        for *_, answers in self._flushed:
            for status, tally in answers.by_status.items():
                _add(counts, str(status), tally)
        return counts

    @property
    def refused(self) -> int:
        """Requests that were rejected before they were processed."""
        return sum(answers.refused for *_, answers in self._flushed)

    @property
    def requests(self) -> int:
        """Requests that were started."""
        return sum(requests for _, _, requests, _ in self._flushed)

    @property
    def seconds(self) -> float:
        """The seconds in which all this was counted."""
        return max(1.0, self._clock() - self._since)


def _add(counts: dict[str, list[int]], name: str, tally: Tally) -> None:
    so_far = counts.get(name)
    counts[name] = list(tally.counts) if so_far is None else [a + b for a, b in zip(so_far, tally.counts, strict=True)]


def p99_s(counts: list[int]) -> float | None:
    """The time within which 99 of 100 chunks had their outcome, as the bound of a bucket."""
    return quantile(counts, 0.99)
