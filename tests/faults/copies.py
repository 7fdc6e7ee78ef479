"""Delivers every frame a second time some time later, like a worker that was frozen with the frame in hand."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from localcluster.cluster import Cluster
from protocol.names import shard_stream
from tests.redis_client import as_tarantkv

POLL_MS = 20
LATER_S = 0.1, 1.5


class Copies:
    """Reads the shards' streams besides the workers. `made` counts the frames that were appended again."""

    def __init__(self, cluster: Cluster) -> None:
        self.made = 0
        self._streams = [shard_stream(shard.name) for shard in cluster.config.shards]
        self._redis = as_tarantkv(cluster)
        self._random = random.Random(5)
        self._own: set[bytes] = set()
        self._due: list[tuple[float, bytes, bytes, bytes]] = []
        self._end = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._copying = self._thread.submit(self._copy)

    def _copy(self) -> None:
        last: dict[Any, Any] = dict.fromkeys(self._streams, "$")
        while not self._end.is_set():
            found: Any = self._redis.xread(last, count=100, block=POLL_MS)
            for stream, entries in found or ():
                for entry_id, fields in entries:
                    last[stream.decode()] = entry_id
                    if entry_id not in self._own:
                        ((field, frame),) = fields.items()
                        heapq.heappush(
                            self._due, (time.monotonic() + self._random.uniform(*LATER_S), stream, field, frame)
                        )
            while self._due and self._due[0][0] <= time.monotonic():
                _, stream, field, frame = heapq.heappop(self._due)
                self._own.add(self._redis.xadd(stream, {field: frame}))  # type: ignore[arg-type]
                self.made += 1

    def stop(self) -> None:
        """Make no more copies."""
        self._end.set()
        self._copying.result(10)
        self._thread.shutdown()
        self._redis.close()


@contextmanager
def copies(cluster: Cluster) -> Iterator[Copies]:
    """Deliver every frame twice."""
    made = Copies(cluster)
    try:
        yield made
    finally:
        made.stop()
