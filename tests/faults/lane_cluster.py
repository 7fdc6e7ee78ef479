"""A cluster with two lanes, each behind links that can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from api.queue.lane_choice import order
from localcluster.cluster import Cluster
from localcluster.config import for_tests
from protocol.names import shard_stream
from tests.faults.network import Link, Proxy
from tests.redis_client import as_tarantkv

LANES = 2


@dataclass(frozen=True)
class LaneCluster:
    """A running cluster, and the links of the api and of the workers to each Redis."""

    cluster: Cluster
    api: tuple[Link, ...]
    workers: tuple[Link, ...]

    def home(self, shard: str = "s1") -> int:
        """The lane that carries a shard while all is well."""
        return order(shard, [link.address for link in self.api])[0]

    def redis(self, lane: int) -> str:
        """The program of a lane."""
        return self.cluster.config.redis_names[lane]

    def links(self, lane: int) -> tuple[Link, Link]:
        """Both links of a lane."""
        return self.api[lane], self.workers[lane]

    def heal(self) -> None:
        """Have every process run and every link whole."""
        for link in (*self.api, *self.workers):
            link.heal()
        self.cluster.start()

    def carried(self, lane: int, shard: str = "s1") -> int:
        """How many frames of a shard a lane has carried since its Redis started, or was emptied."""
        with as_tarantkv(self.cluster, lane=lane) as client:
            if not client.exists(shard_stream(shard)):
                return 0
            entries_added = client.xinfo_groups(shard_stream(shard))
            return int(entries_added[0].get("entries-read") or 0) if entries_added else 0

    def threads(self, worker: str = "worker-1") -> int:
        """How many threads a worker has."""
        return psutil.Process(self.cluster.pid(worker)).num_threads()


@contextmanager
def lane_cluster(data_dir: Path) -> Iterator[LaneCluster]:
    """Two shards, two workers and two lanes, everything whole."""
    proxy = Proxy()
    try:
        links = {tier: tuple(proxy.link(f"{tier}-{lane}") for lane in range(LANES)) for tier in ("api", "worker")}
        urls = {tier: ",".join(f"redis://{link.address}/0" for link in those) for tier, those in links.items()}
        cluster = Cluster(
            for_tests(
                data_dir,
                shards=2,
                lanes=LANES,
                tier_settings={
                    "shard": {"TARANTKV_COUNT_APPLICATIONS": "true"},
                    **{tier: {"TARANTKV_REDIS_URL": url} for tier, url in urls.items()},
                },
            )
        )
        for those in links.values():
            for link, port in zip(those, cluster.config.redis_ports, strict=True):
                link.lead_to(("127.0.0.1", port))
        cluster.start()
        lanes = LaneCluster(cluster, links["api"], links["worker"])
        try:
            yield lanes
        finally:
            lanes.heal()
            cluster.stop()
    finally:
        proxy.close()
