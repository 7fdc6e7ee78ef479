"""What `/health/ready` reports while a shard is down."""

from typing import Any

from localcluster.cluster import Cluster
from tests.contract.calls import Api, json_body
from tests.contract.waiting import until
from tests.integration.store import Store

NOTICED_WITHIN_S = 10
"""A round of questions, the time in which a shard may answer one, and a worker's attempt to connect."""


def ready(api: Api) -> dict[str, Any]:
    answer = api.http.get("/health/ready")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_readiness_names_a_shard_that_is_down_without_failing(cluster: Cluster, api: Api, store: Store) -> None:
    assert ready(api) == {
        "status": "ready",
        "shards": ["s1", "s2", "s3"],
        "shards_down": [],
        "lanes": 1,
        "lanes_down": 0,
    }
    cluster.stop_program("shard-s2")
    try:
        until(lambda: ready(api)["shards_down"] == ["s2"], NOTICED_WITHIN_S, "a shard that is down is not named")
        # Other shards still work, so load balancers must continue to send requests to this process.
        keys = store.keys_on("s1", 1, "health")
        assert api.post("read", json_body({"keys": keys})).status_code == 200
    finally:
        cluster.start_program("shard-s2")
        cluster.wait_running("shard-s2")
    until(lambda: ready(api)["shards_down"] == [], NOTICED_WITHIN_S, "a restarted shard is still reported as down")
