"""Two clusters use one Redis by mistake: neither applies or answers a request of the other's clients."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self

import httpx
import pytest

from localcluster import programs
from localcluster.cluster import Cluster
from localcluster.config import for_tests
from tests.faults.load import login
from tests.integration.processes import ApiProcess, run_module
from tests.integration.store import Store

KEYS = [f"key{number}" for number in range(20)]
ROUNDS = 3
COUNTS = {"TARANTKV_COUNT_APPLICATIONS": "true"}
CONFIGURATION = 78


class Client:
    """A client of one cluster's api, whose values name their cluster."""

    def __init__(self, cluster: Cluster, name: str, base_url: str | None = None) -> None:
        self.cluster = cluster
        self.name = name
        self.base_url = base_url or cluster.base_url
        token = login(self.base_url, cluster.admin_user, cluster.admin_password)
        self.http = httpx.Client(timeout=20, trust_env=False, headers={"Authorization": token})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        return self.http.post(f"{self.base_url}/api/{path}", json=body, headers=headers)

    def write(self, key: str, number: int) -> int:
        body = {"data": {key: f"{self.name}:{number}"}}
        return self.post("write", body, **{"Idempotency-Key": f"{key}:{number}"}).status_code

    def values(self, *keys: str) -> dict[str, str]:
        answer = self.post("read", {"keys": keys})
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def stored(self) -> set[str]:
        """The clusters whose values the shards hold."""
        lua = "local found = {} for _, t in box.space.kv:pairs() do table.insert(found, t[3]) end return found"
        consoles = Store(self.cluster).consoles.values()
        return {value.split(":")[0] for console in consoles for value in console.run(lua)}


def copied_settings(cluster: Cluster) -> dict[str, Any]:
    """The settings of a cluster with the `.env` of another: all secrets, and the address of the other's Redis."""
    of_tier = {tier: dict(cluster.config.for_tier(tier)) for tier in ("api", "worker")}
    for tier, settings in of_tier.items():
        for name in ("TARANTKV_REDIS_URL", "TARANTKV_REDIS_USER", "TARANTKV_REDIS_PASSWORD"):
            settings[name] = programs.settings_for(cluster.config, tier)[name]
    return {"settings": dict(cluster.config.settings), "tier_settings": {**of_tier, "shard": COUNTS}}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    with ExitStack() as stack:
        first = Cluster(for_tests(tmp_path_factory.mktemp("first"), shards=2, tier_settings={"shard": COUNTS}))
        stack.callback(first.stop)
        first.start()
        second = Cluster(for_tests(tmp_path_factory.mktemp("second"), shards=2, **copied_settings(first)))
        stack.callback(second.stop)
        second.start()
        yield stack.enter_context(Client(first, "first")), stack.enter_context(Client(second, "second"))


def shards_of(cluster: Cluster) -> list[str]:
    return programs.settings_for(cluster.config, "worker")["TARANTKV_SHARDS"].split(";")


def logged(cluster: Cluster, program: str) -> str:
    return programs.Layout(cluster.config.data_dir).log(program).read_text()


def test_neither_cluster_serves_the_others_requests_and_both_continue_to_work(both: tuple[Client, Client]) -> None:
    with ThreadPoolExecutor(16) as threads:
        writes = [
            threads.submit(client.write, key, number) for number in range(ROUNDS) for key in KEYS for client in both
        ]
        assert {write.result() for write in writes} == {200}
    for client in both:
        values = client.values(*KEYS)
        assert sorted(values) == sorted(KEYS)
        assert {value.split(":")[0] for value in values.values()} == {client.name}
        assert client.stored() == {client.name}
        assert Store(client.cluster).most_applications() == 1
    assert all("two clusters use one redis" in logged(client.cluster, "api") for client in both)
    workers = "".join(logged(client.cluster, f"worker-{number}") for client in both for number in (1, 2))
    assert "the frame is for cluster" in workers


@pytest.mark.long
def test_an_api_that_starts_while_both_run_finds_its_own_cluster(both: tuple[Client, Client]) -> None:
    for client in both:
        assert client.write("starting", 7) == 200
    for client in both:
        with ApiProcess(client.cluster, {}) as api, Client(client.cluster, client.name, api.base_url) as other:
            assert other.values("starting") == {"starting": f"{client.name}:7"}


def test_a_request_is_refused_and_not_applied_if_only_the_other_clusters_workers_run(
    both: tuple[Client, Client],
) -> None:
    first, second = both
    assert first.write("alone", 1) == 200
    workers = [status.name for status in first.cluster.status() if status.name.startswith("worker-")]
    for name in workers:
        first.cluster.stop_program(name)
    answer = first.post("write", {"data": {"alone": "first:2"}})
    assert answer.status_code == 503
    document = answer.json()
    assert document["failed"] == {"alone": "not_applied"}
    assert "another cluster" in document["reasons"][0]["detail"]
    for name in workers:
        first.cluster.start_program(name)
    first.cluster.wait_running()
    assert first.values("alone") == {"alone": "first:1"}
    assert "first" not in second.stored()


def test_an_api_that_cannot_identify_its_cluster_does_not_start_and_says_why(both: tuple[Client, Client]) -> None:
    nowhere = ";".join(f"{shard.name}=127.0.0.1:{1 + at}" for at, shard in enumerate(both[0].cluster.config.shards))
    done = run_module(both[0].cluster, "api", {"TARANTKV_SHARDS": nowhere})
    assert done.returncode == CONFIGURATION
    assert "two clusters use one Redis" in done.stderr.strip().splitlines()[-1]


def test_a_worker_with_shards_of_both_clusters_ends_with_a_line_that_names_them(both: tuple[Client, Client]) -> None:
    first, second = (shards_of(client.cluster) for client in both)
    done = run_module(both[0].cluster, "worker", {"TARANTKV_SHARDS": f"{first[0]};{second[1]}"}, "worker")
    assert done.returncode == CONFIGURATION
    last = done.stderr.strip().splitlines()[-1]
    assert "different clusters" in last
    assert "s1 to" in last
    assert "s2 to" in last
