"""Shards that do not answer in time: what the api reports, and that no change is applied later."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import Api, json_body
from tests.contract.documented import Documented
from tests.contract.problems import assert_usable, problem_of
from tests.integration.conftest import PausedWorkers
from tests.integration.processes import ApiProcess

FreshKey = Callable[[], str]

KEY = "the key"


@pytest.fixture(scope="module")
def hasty_api(cluster: Cluster) -> Iterator[ApiProcess]:
    """An api that waits only for a second, and allows few chunks for each shard to wait.

    It allows more than one, because its own questions about users count as well.
    """
    with ApiProcess(cluster, {"TARANTKV_REQUEST_TIMEOUT_S": "1", "TARANTKV_MAX_INFLIGHT_CHUNKS": "4"}) as process:
        yield process


@pytest.fixture
def hasty(hasty_api: ApiProcess, token: str, documented: Documented, fresh_key: FreshKey) -> Iterator[Api]:
    with Api(hasty_api.base_url, token, documented) as client:
        # From now on the api has the account in its cache: it could not ask for it with the workers frozen.
        client.read_document(fresh_key())
        yield client


CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "a write": ("write", {"data": {KEY: "after"}}),
    "a write under a condition": ("write", {"data": {KEY: "after"}, "if": "present"}),
    "a delete": ("delete", {"keys": [KEY]}),
    "a delete under a condition": ("delete", {"keys": [KEY], "if": "present"}),
    "a touch": ("touch", {"keys": [KEY], "expires_at": 1}),
    "an increment": ("increment", {"data": {KEY: 1}}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_without_an_answer_in_time_is_unknown_and_not_applied_later(
    hasty: Api, fresh_key: FreshKey, paused_workers: Callable[[], PausedWorkers], name: str
) -> None:
    key = fresh_key()
    hasty.write({key: 7})
    before = hasty.read_document(key)
    call, document = CHANGES[name]
    with paused_workers():
        answer = hasty.post(call, json_body(document).replace(KEY.encode(), key.encode()))
        problem = problem_of(answer, "outcome-unknown", "1 of 1 keys failed")
        assert problem["failed"] == {key: "unknown"}
        assert [reason["code"] for reason in problem["reasons"]] == ["no_answer"]
        assert_usable(hasty, answer)
    assert hasty.read_document(key) == before


def test_a_read_without_an_answer_in_time_is_not_read(
    hasty: Api, fresh_key: FreshKey, paused_workers: Callable[[], PausedWorkers]
) -> None:
    key = fresh_key()
    with paused_workers():
        answer = hasty.post("read", json_body({"keys": [key]}))
        problem = problem_of(answer, "shard-unavailable", "1 of 1 keys failed")
        assert problem["failed"] == {key: "not_read"}
        assert [reason["code"] for reason in problem["reasons"]] == ["no_answer"]
        assert_usable(hasty, answer)


def test_chunks_beyond_the_shard_limit_are_rejected_at_once(
    hasty: Api, fresh_key: FreshKey, paused_workers: Callable[[], PausedWorkers]
) -> None:
    key = fresh_key()
    body = json_body({"data": {key: 1}})
    with ExitStack() as stack:
        clients = [stack.enter_context(Api(str(hasty.http.base_url), hasty.token)) for _ in range(8)]
        threads = stack.enter_context(ThreadPoolExecutor(len(clients)))
        with paused_workers():
            answers = list(threads.map(lambda client: client.post("write", body), clients))
        by_status = {answer.status_code: (client, answer) for client, answer in zip(clients, answers, strict=True)}
        assert sorted(by_status) == [503, 504]
        client, refused = by_status[503]
        problem_of(refused, "overloaded", "nothing was applied")
        assert int(refused.headers["retry-after"]) >= 1
        assert_usable(client, refused)
    hasty.write({key: 2})
    assert hasty.read(key) == {key: 2}
