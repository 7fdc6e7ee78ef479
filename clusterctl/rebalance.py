"""Plans which buckets move where and in which order, and estimates how long that takes. `moving` makes the moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

RECENT = 200
"""How many of the last moves the estimate is based on: their speed changes with the load."""


@dataclass(frozen=True, slots=True)
class Move:
    """The move of one bucket."""

    bucket: int
    source: str
    target: str


class PlanError(ValueError):
    """The buckets cannot be divided by these weights; the text says why."""


def shares(weights: Mapping[str, float], bucket_count: int) -> dict[str, int]:
    """How many buckets each shard is to have, in proportion to its weight. The numbers add up to `bucket_count`.

    Raises:
        PlanError: a weight is negative, or all are 0.
    """
    if any(weight < 0 for weight in weights.values()):
        raise PlanError("a weight is below 0")
    total = sum(weights.values())
    if not total:
        raise PlanError("no shard is left that can take buckets")
    exact = {shard: bucket_count * weight / total for shard, weight in weights.items()}
    whole = {shard: int(count) for shard, count in exact.items()}
    left = bucket_count - sum(whole.values())
    # The shards that lose most by rounding down get the rest, one bucket each, in order of names if they lose the same.
    for shard in sorted(exact, key=lambda name: (whole[name] - exact[name], name))[:left]:
        whole[shard] += 1
    return whole


def moves(owners: Mapping[str, Sequence[int]], weights: Mapping[str, float]) -> list[Move]:
    """The fewest moves after which each shard has its share. `owners` holds the buckets of each shard.

    A shard gives away its highest buckets, and each target gets consecutive ones. So the buckets of a shard remain a
    few ranges, which keeps the shard map small. The sources take turns, so that no shard is slowed down all the time.

    Raises:
        PlanError: two shards own a bucket, a shard has buckets but no weight, or as `shares`.
    """
    unknown = sorted(shard for shard in owners if shard not in weights)
    if unknown:
        raise PlanError(f"these shards have no weight: {', '.join(unknown)}")
    every = [bucket for buckets in owners.values() for bucket in buckets]
    if len(set(every)) != len(every):
        raise PlanError("two shards own the same bucket")
    wanted = shares(weights, len(every))
    lacks = {shard: wanted[shard] - len(owners.get(shard, ())) for shard in weights}
    targets = deque(shard for shard in sorted(lacks) if lacks[shard] > 0)
    by_source: list[list[Move]] = []
    for source in sorted(shard for shard in lacks if lacks[shard] < 0):
        given: list[Move] = []
        for bucket in sorted(owners[source])[lacks[source] :]:
            given.append(Move(bucket, source, targets[0]))
            lacks[targets[0]] -= 1
            if not lacks[targets[0]]:
                targets.popleft()
        by_source.append(given)
    return [move for turn in zip_longest(*by_source) for move in turn if move is not None]


@dataclass(slots=True)
class Progress:
    """How many of the planned moves are done, and how fast. Times are in seconds, by a monotonic clock."""

    total: int
    began: float
    done: int = 0
    by_way: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """The number of moves done and of all moves, by source and target."""

    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @classmethod
    def of(cls, planned: Sequence[Move], now: float) -> Progress:
        """The progress of moves of which none is done yet."""
        progress = cls(len(planned), now)
        for move in planned:
            progress.by_way.setdefault((move.source, move.target), [0, 0])[1] += 1
        return progress

    def moved(self, now: float, move: Move | None = None) -> None:
        """Count one move as done."""
        if move is not None:
            self.by_way[move.source, move.target][0] += 1
        self.done += 1
        self._ends.append(now)

    def per_s(self) -> float | None:
        """Buckets a second over the last `RECENT` moves; None before the first one."""
        if not self._ends:
            return None
        first = self._ends[0] if self.done > len(self._ends) else self.began
        count = len(self._ends) - (self.done > len(self._ends))
        return count / max(1e-9, self._ends[-1] - first)

    def left_s(self) -> float | None:
        """Seconds until all moves are done, at the present speed; None before the first move."""
        rate = self.per_s()
        return None if rate is None else (self.total - self.done) / rate

    def line(self) -> str:
        """One line of text for people."""
        left = self.left_s()
        percent = 100 * self.done // self.total if self.total else 100
        said = f"{self.done} of {self.total} buckets ({percent} %)"
        if left is None or self.done == self.total:
            return said
        return f"{said}, {self.per_s():.1f}/s, {duration(left)} left"


class Told(NamedTuple):
    """Moves to one target: how many are done, how many there are in all, and seconds left; None: not known yet."""

    target: str
    done: int
    total: int
    left_s: float | None


def duration(seconds: float) -> str:
    """A time as text for people: `45 s`, `3 min`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
