"""`/api/status` while parts of the system fail: dead shards, stopped workers, several api processes, missing
rights.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.contract.calls import Api, obtain_token
from tests.contract.waiting import until
from tests.integration.conftest import NewApi, NewUser, login
from tests.integration.store import Store


def rows(api: Api, kind: str) -> dict[str, dict[str, Any]]:
    answer = api.http.get("/api/status", headers={"authorization": str(api.token)})
    assert answer.status_code == 200, answer.text
    return {row["shard"]: row for row in answer.json()[kind]}


def states(api: Api) -> set[str]:
    return {row["state"] for row in rows(api, "shards").values()}


@pytest.mark.parametrize(("scopes", "expected"), [("observe", 200), ("read,write", 403), ("admin", 403)])
def test_the_status_needs_the_scope_observe(api: Api, new_user: NewUser, scopes: str, expected: int) -> None:
    token = {"authorization": login(api, new_user(scopes))}
    assert api.http.get("/api/status", headers=token).status_code == expected
    if scopes == "observe":
        body = {"keys": ["x"]}
        assert api.http.post("/api/read", json=body, headers=token).status_code == 403


def test_a_read_only_shard_is_shown_as_such(api: Api, store: Store) -> None:
    with store.read_only("s2"):
        until(lambda: rows(api, "shards")["s2"]["state"] == "read_only", 10, "the change is not shown")
        found = rows(api, "shards")
        assert found["s2"]["leader"] is False
        assert found["s1"]["state"] == "up"
        answer = api.http.get("/api/status", headers={"authorization": str(api.token)})
        assert "shard s2 takes no changes" in answer.json()["findings"][0]["text"]
    until(lambda: rows(api, "shards")["s2"]["state"] == "up", 10, "the change is not shown")


def test_moves_of_buckets_are_shown_while_they_are_made(api: Api, store: Store) -> None:
    def moves() -> list[dict[str, Any]]:
        answer = api.http.get("/api/status", headers={"authorization": str(api.token)})
        return [{**row, "told_s_ago": round(row["told_s_ago"], -1)} for row in answer.json()["moves"]]

    assert moves() == [], "without a cluster of replica sets no bucket moves"
    say = "require('tarantkv.progress').say({%s})"
    store.consoles["s1"].run(say % "{'s4', 3, 10, 4500}, {'s5', 0, 7}")
    try:
        row = {"source": "s1", "target": "s4", "done": 3, "total": 10, "left_s": 4.5, "told_s_ago": 0}
        other = {"source": "s1", "target": "s5", "done": 0, "total": 7, "left_s": None, "told_s_ago": 0}
        until(lambda: moves() == [row, other], 10, "the moves are not shown")
    finally:
        store.consoles["s1"].run("require('tarantkv.progress').say({})")
    until(lambda: moves() == [], 10, "the move does not disappear")


def test_without_workers_the_oldest_chunk_ages_and_the_shards_do_not_answer(
    second: Api, paused_workers: Callable[[], Any], fresh_key: Callable[[], str]
) -> None:
    rows(second, "shards")
    with ThreadPoolExecutor() as threads, Api(str(second.http.base_url), second.token) as other, paused_workers():
        # While no worker runs, a token is valid for as long as the api caches its account.
        writing = threads.submit(other.ask, "write", {"data": {fresh_key(): 1}})
        # The api repeats its answer for a second.
        until(lambda: states(second) == {"down"}, 4, "the shards are not shown as down")
        found = rows(second, "shards")
        assert all(row["memory_limit_bytes"] for row in found.values()), "former values are not shown any more"
        assert max(row["oldest_s"] for row in rows(second, "queues").values()) > 0.5
        answer = writing.result(20)
        assert answer.status_code in (503, 504)
    until(lambda: {row["state"] for row in rows(second, "shards").values()} == {"up"}, 20, "the shards do not recover")
    problems = second.http.get("/api/status", headers={"authorization": str(second.token)}).json()["problems"]
    assert answer.headers["x-request-id"] in {row["request_id"] for row in problems}


def test_any_process_reports_all_processes_of_its_machine(cluster: Any, new_api: NewApi) -> None:
    process = new_api(TARANTKV_API_PROCESSES="2")
    token = obtain_token(process.base_url, cluster.admin_user, cluster.admin_password)

    def pids() -> tuple[int, ...]:
        with httpx.Client(base_url=process.base_url, trust_env=False, headers={"authorization": token}) as http:
            return tuple(row["pid"] for row in http.get("/api/status").json()["api"])

    def asked_of_either() -> set[tuple[int, ...]]:
        return {pids() for _ in range(10)}

    # Each process names itself first.
    until(
        lambda: len(both := asked_of_either()) == 2 and all(len(each) == 2 for each in both), 20, "a process is missing"
    )
    one, other = asked_of_either()
    assert one == other[::-1]
