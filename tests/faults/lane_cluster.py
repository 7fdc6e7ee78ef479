"""A cluster with two lanes, each behind links that can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from api.queue.lane_choice import order
from localcluster.cluster import Cluster
from localcluster.config import for_tests
from tests.faults.load import login
from tests.faults.network import Link, Proxy
from tests.faults.processes import wait_for

LANES = 2


@dataclass(frozen=True)
class LaneCluster:
    """A running cluster, and the links of the api and of the workers to each Redis."""

    cluster: Cluster
    api: tuple[Link, ...]
    workers: tuple[Link, ...]

    def home(self, shard: str = "s1") -> int:
        """The home lane of a shard."""
        return order(shard, [link.address for link in self.api])[0]

    def redis(self, lane: int) -> str:
        """The program of a lane."""
        return self.cluster.config.redis_names[lane]

    def links(self, lane: int) -> tuple[Link, Link]:
        """Both links of a lane."""
        return self.api[lane], self.workers[lane]

    def heal(self) -> None:
        """Wait until every process runs, with every link whole."""
        for link in (*self.api, *self.workers):
            link.heal()
        self.cluster.start()

    def wait_home(self, timeout_s: float = 20.0) -> None:
        """Wait until, for the api, every lane works and every shard uses its home."""
        token = login(self.cluster.base_url, self.cluster.admin_user, self.cluster.admin_password)
        homes = {shard.name: self.home(shard.name) for shard in self.cluster.config.shards}

        def at_home() -> bool:
            answer = httpx.get(
                f"{self.cluster.base_url}/api/status", headers={"Authorization": token}, trust_env=False, timeout=10
            )
            rows = answer.raise_for_status().json()["lanes"]
            assert [row["lane"] for row in rows] == [link.address for link in self.api]
            carried = {shard: lane for lane, row in enumerate(rows) for shard in row["shards"]}
            return all(row["up"] for row in rows) and carried == homes

        wait_for(at_home, "the shards have not come home", timeout_s)


@contextmanager
def lane_cluster(data_dir: Path) -> Iterator[LaneCluster]:
    """Two shards, two workers and two lanes, all without faults."""
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
