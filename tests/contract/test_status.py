"""`GET /api/status`: the state of the system."""

from secrets import token_hex
from typing import Any

import httpx
import msgspec
import pytest

from tests.contract.calls import JSON, MSGPACK, Api
from tests.contract.conftest import FreshKeys
from tests.contract.problems import problem_of
from tests.contract.waiting import until


def asked(api: Api, query: str = "", method: str = "GET", **headers: str) -> httpx.Response:
    every = {"authorization": str(api.token), **headers}
    return api.http.request(method, f"/api/status{query}", headers=every)


def status(api: Api) -> dict[str, Any]:
    answer = asked(api)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def test_the_status_has_shards_queues_workers_and_processes(api: Api, fresh_key: FreshKeys) -> None:
    api.write({fresh_key(): number for number in range(50)})
    found = status(api)
    shards = [row["shard"] for row in found["shards"]]
    assert len(shards) == len(set(shards)) > 0
    assert [row["shard"] for row in found["queues"]] == shards
    for row in found["shards"]:
        assert (row["state"], row["leader"]) == ("up", True)
        assert 0 < row["memory_used_bytes"] < row["memory_limit_bytes"]
        assert row["told_s_ago"] < 5
        assert abs(row["clock_skew_s"]) < 5
        assert row["expiry_lag_s"] >= 0
    assert sum(row["keys"] for row in found["shards"]) >= 50
    for row in found["queues"]:
        assert row["depth"] >= 0
        assert row["in_hand"] >= row["redelivered"] >= 0
        assert row["oldest_s"] < 5
        assert row["workers"] >= 1
    assert sorted(shard for row in found["lanes"] for shard in row["shards"]) == sorted(shards)
    for row in found["lanes"]:
        assert row["up"] is True
        assert row["since"] <= found["at"]
        assert row["memory_used_bytes"] > 0
    assert {shard for row in found["workers"] for shard in row["shards"]} == set(shards)
    assert all(row["pid"].isdigit() and row["host"] and row["seen_at"] > found["at"] - 60 for row in found["workers"])
    assert found["api"]
    for row in found["api"]:
        assert row["memory_bytes"] > 10_000_000
        assert row["version"] == found["version"]


def test_rates_and_times_are_of_the_last_seconds(api: Api, fresh_key: FreshKeys) -> None:
    def shows() -> bool:
        api.write({fresh_key(): 1 for _ in range(20)})
        found = status(api)
        return (
            any(row["requests_per_s"] > 0 for row in found["api"])
            and any(row["chunks_per_s"] > 0 for row in found["shards"])
            and any(row["p99_s"] is not None for row in found["shards"])
        )

    until(shows, 15, "nothing is counted")


def test_requests_are_counted_by_status(api: Api, fresh_key: FreshKeys) -> None:
    def shows() -> bool:
        api.write({fresh_key(): 1})
        api.http.get(f"/api/keys/{fresh_key()}", headers={"authorization": str(api.token)})
        found = status(api)["requests"]
        times = (found["p50_s"], found["p99_s"])
        return found["by_status"].get("200", 0) > 0 and found["by_status"].get("404", 0) > 0 and None not in times

    until(shows, 15, "nothing is counted")
    found = status(api)["requests"]
    assert found["per_s"] == pytest.approx(sum(found["by_status"].values()), abs=0.1)
    assert 0 < found["p50_s"] <= found["p99_s"] < 60


def test_each_shard_is_read_by_a_worker(api: Api) -> None:
    found = status(api)
    shards = {row["shard"] for row in found["shards"]}
    assert {shard for row in found["workers"] for shard in row["reads"]} == shards
    assert all(set(row["reads"]) <= set(row["shards"]) for row in found["workers"])
    assert {row["state"] for row in found["findings"]} <= {"failure", "warning"}
    assert all(row["text"] and row["to_do"] for row in found["findings"])


def test_a_failed_request_is_found_by_its_id_and_without_its_key(api: Api) -> None:
    request_id, key = f"status-{token_hex(8)}", token_hex(8)
    for _ in range(2):
        api.http.get(f"/api/keys/{key}", headers={"authorization": str(api.token), "x-request-id": request_id})

    def found() -> list[dict[str, Any]]:
        return [row for row in status(api)["problems"] if row["request_id"] == request_id]

    until(lambda: len(found()) >= 2, 15, "the problem is not shown")
    assert {(row["method"], row["route"], row["status"]) for row in found()} == {("GET", "/api/keys/{key}", 404)}
    assert len(status(api)["problems"]) <= 100
    assert key not in asked(api).text


def test_the_status_has_both_formats_and_answers_head(api: Api) -> None:
    packed = asked(api, accept=MSGPACK)
    assert packed.headers["content-type"] == MSGPACK
    assert msgspec.msgpack.decode(packed.content).keys() == status(api).keys()
    head = asked(api, method="HEAD", accept=JSON)
    assert (head.status_code, head.content) == (200, b"")


def test_the_status_accepts_no_parameter_no_body_and_no_other_method(api: Api) -> None:
    problem_of(asked(api, "?shard=s1"), "invalid-request", "no parameter 'shard'")
    problem_of(asked(api, method="POST"), "method-not-allowed")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_without_a_token_is_refused(stranger: Api, method: str) -> None:
    answer = stranger.http.request(method, "/api/status")
    assert answer.status_code == 401
    if method == "GET":
        problem_of(answer, "unauthorized")
