"""Moves buckets with all their data between the shards of a running cluster, through the shards' consoles.

It is only for tests: it handles no failures. The steps are in `mover.lua`.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from localcluster.cluster import Cluster
from protocol.buckets import bucket_of
from tests.faults.console import evaluate

_LUA = Path(__file__).with_name("mover.lua")


class Mover:
    """Moves buckets, and records where they are. `moves` counts the buckets that have arrived."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.shards = [shard.name for shard in cluster.config.shards]
        self.moves = 0
        self._away: dict[int, tuple[str, str]] = {}
        """The first and the present shard of each bucket that has moved."""
        self._homes: list[tuple[int, int, str]] = []
        self._added: dict[str, Path] = {}
        for shard in self.shards:
            description = self._load(shard)
            self._homes += [(first, last, shard) for first, last in description["ranges"]]
            self.bucket_count = int(description["bucket_count"])

    def _load(self, shard: str) -> dict[str, Any]:
        load = f"rawset(_G, 'mover', dofile('{_LUA}'))"
        (description,) = evaluate(self.console(shard), f"{load} and tarantkv.describe()")
        return dict(description)

    def console(self, shard: str) -> Path:
        """The socket of a shard's console."""
        return self._added.get(shard) or self.cluster.console_socket(shard)

    def add(self, shard: str, console: Path) -> None:
        """Add a shard without buckets that the cluster's configuration does not name."""
        self._added[shard] = console
        self.shards.append(shard)
        self._load(shard)

    def remove(self, shard: str) -> None:
        """Remove it; its buckets must be elsewhere."""
        if shard in self.shards:
            self.shards.remove(shard)

    def buckets(self, keys: Iterable[str]) -> list[int]:
        """The buckets of keys, each once."""
        return sorted({bucket_of(key.encode(), self.bucket_count) for key in keys})

    def place(self, bucket: int) -> str:
        """The shard that has a bucket."""
        return self._away[bucket][1] if bucket in self._away else self._home(bucket)

    def _home(self, bucket: int) -> str:
        return next(shard for first, last, shard in self._homes if first <= bucket <= last)

    def step(self, shard: str, step: str, *arguments: object) -> Any:
        """One step on one shard."""
        (said,) = evaluate(self.console(shard), f"mover.{step}({', '.join(map(_lua, arguments))})")
        return said

    def move(self, buckets: Sequence[int], target: str) -> None:
        """Move buckets of one shard to another one."""
        (source,) = {self.place(bucket) for bucket in buckets}
        self.depart(buckets, target)
        self.arrive(buckets, source, target)

    def depart(self, buckets: Sequence[int], target: str) -> None:
        """The first half of a move: from then on the buckets accept no changes."""
        (source,) = {self.place(bucket) for bucket in buckets}
        self.step(target, "arriving", buckets)
        self.step(source, "lock", buckets)

    def arrive(self, buckets: Sequence[int], source: str, target: str) -> None:
        """The second half."""
        self.step(target, "load", self.step(source, "dump", buckets))
        stopped_ms = self.step(source, "stop", buckets)
        self.step(target, "open", buckets, stopped_ms)
        for bucket in buckets:
            self._away[bucket] = (self._home(bucket), target)
        self.moves += len(buckets)
        self.step(source, "sent", buckets, target)

    def home(self) -> None:
        """Move every bucket back to its first shard."""
        ways: dict[tuple[str, str], list[int]] = {}
        for bucket, (home, place) in self._away.items():
            if home != place:
                ways.setdefault((home, place), []).append(bucket)
        for (home, _), buckets in ways.items():
            self.move(buckets, home)
        self._away.clear()


class Wanderer:
    """Moves a few buckets at a time at random, one after the other, until it is told to stop."""

    def __init__(self, mover: Mover, buckets: Sequence[int], seed: int, most: int) -> None:
        self._mover = mover
        self._most = most
        self._buckets = list(buckets)
        self._random = random.Random(seed)
        self._end = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._moving = self._thread.submit(self._move)

    def _move(self) -> None:
        while not self._end.is_set():
            source = self._mover.place(self._random.choice(self._buckets))
            there = [bucket for bucket in self._buckets if self._mover.place(bucket) == source]
            some = self._random.sample(there, self._random.randint(1, min(self._most, len(there))))
            target = self._random.choice([shard for shard in self._mover.shards if shard != source])
            self._mover.move(some, target)

    def stop(self) -> None:
        """Let it finish its move and end."""
        self._end.set()
        self._moving.result(30)
        self._thread.shutdown()


@contextmanager
def mover(cluster: Cluster) -> Iterator[Mover]:
    """A mover; at the end it moves all buckets back."""
    made = Mover(cluster)
    try:
        yield made
    finally:
        made.home()


@contextmanager
def recording_by_bucket(mover: Mover) -> Iterator[None]:
    """Make the api record changes under claims by bucket, as it does in a cluster whose buckets move."""
    try:
        _let_move(mover, may=True)
        yield
    finally:
        _let_move(mover, may=False)


def _let_move(mover: Mover, *, may: bool) -> None:
    for shard in mover.shards:
        mover.step(shard, "let_move", may)
    mover.cluster.restart("api")
    mover.cluster.wait_ready()


def applications_by_bucket(mover: Mover) -> Counter[str]:
    """How often each bucket of each change under a claim was applied, on all shards together."""
    counts: Counter[str] = Counter()
    for shard in mover.shards:
        counts.update(json.loads(mover.step(shard, "applications")))
    return counts


@contextmanager
def wandering(mover: Mover, buckets: Sequence[int], *, seed: int = 1, most: int = 4) -> Iterator[None]:
    """Move buckets all the time, up to `most` at once."""
    wanderer = Wanderer(mover, buckets, seed, most)
    try:
        yield
    finally:
        wanderer.stop()


@asynccontextmanager
async def wandering_beside(mover: Mover, buckets: Sequence[int], *, seed: int = 1) -> AsyncIterator[None]:
    """The same, without blocking the event loop at the end."""
    wanderer = Wanderer(mover, buckets, seed, 4)
    try:
        yield
    finally:
        await asyncio.to_thread(wanderer.stop)


def _lua(value: object) -> str:
    if isinstance(value, list | tuple):
        return "{" + ", ".join(map(_lua, value)) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)
