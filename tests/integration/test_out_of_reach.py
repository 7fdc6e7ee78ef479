from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from localcluster.cluster import Cluster
from tests.contract.calls import Api, json_body
from tests.contract.documented import Documented
from tests.contract.problems import assert_usable, problem_of
from tests.integration.conftest import NewApi, PausedWorkers
from tests.integration.store import Store
from tests.integration.waiting import until

FreshKey = Callable[[], str]


def test_a_shard_that_is_down_leaves_the_others_working(
    cluster: Cluster, strict: Api, store: Store, fresh_key: FreshKey
) -> None:
    prefix = fresh_key()
    down, others = store.keys_on("s3", 3, prefix), store.keys_on("s1", 3, prefix)
    body = json_body({"data": dict.fromkeys([*down, *others], 1)})
    cluster.stop_program("shard-s3")
    try:
        # The first of these may have been on its way when the shard went.
        until(lambda: strict.post("write", body).status_code == 503, 10, "a shard that is down is not noticed")
        answer = strict.post("write", body)
        problem = problem_of(answer, "shard-unavailable", "3 of 6 keys failed")
        assert int(answer.headers["retry-after"]) >= 1
        assert_usable(strict, answer)
        assert problem["failed"] == dict.fromkeys(down, "not_applied")
        assert [reason["code"] for reason in problem["reasons"]] == ["unreachable"]
        assert strict.read(*others) == dict.fromkeys(others, 1)
        problem_of(strict.post("read", json_body({"keys": [*down, *others]})), "shard-unavailable", "3 of 6")
    finally:
        cluster.start_program("shard-s3")
        cluster.wait_running("shard-s3")
    until(lambda: strict.post("write", body).status_code == 200, 10, "a shard that is back is not used")
    assert strict.read(*down) == dict.fromkeys(down, 1)


def test_no_answer_in_time_is_an_unknown_outcome_and_nothing_comes_later(
    strict: Api, fresh_key: FreshKey, paused_workers: Callable[[], PausedWorkers]
) -> None:
    key = fresh_key()
    body = json_body({"data": {key: 1}})
    strict.read_document(key)
    with paused_workers():
        answer = strict.post("write", body)
        if answer.status_code == 503:
            # What the api remembers of the user had just run out.
            problem_of(answer, "shard-unavailable", "account")
        else:
            problem = problem_of(answer, "outcome-unknown", "1 of 1 keys failed")
            assert problem["failed"] == {key: "unknown"}
            assert_usable(strict, answer)
    assert strict.read_document(key)["data"] == {}


def test_a_read_without_an_answer_in_time_is_an_unknown_outcome(
    new_api: NewApi,
    token: str,
    documented: Documented,
    fresh_key: FreshKey,
    paused_workers: Callable[[], PausedWorkers],
) -> None:
    process = new_api(TARANTKV_REQUEST_TIMEOUT_S="0.5", TARANTKV_MAX_INFLIGHT_CHUNKS="1")
    with (
        Api(process.base_url, token, documented) as api,
        Api(process.base_url, token, documented) as other,
        ThreadPoolExecutor(1) as threads,
    ):
        key = fresh_key()
        body = json_body({"keys": [key]})
        api.read_document(key)
        with paused_workers():
            waiting = threads.submit(api.post, "read", body)
            statuses: list[int] = []

            def held() -> bool:
                statuses.append(other.post("read", body).status_code)
                return 503 in statuses

            until(held, 5, f"nothing was held up: {statuses}")
            overloaded = other.post("read", body) if not waiting.done() else None
            problem_of(waiting.result(), "outcome-unknown", "1 of 1 keys failed")
        if overloaded is not None and overloaded.status_code == 503:
            problem_of(overloaded, "overloaded", "nothing was applied")
            assert int(overloaded.headers["retry-after"]) >= 1
            assert_usable(other, overloaded)
        assert other.read_document(key)["data"] == {}
