"""While one shard is down, its keys are reported as failed, and the keys of other shards work."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import JSON, MSGPACK, Api, json_body
from tests.contract.documented import Documented
from tests.contract.problems import assert_usable, problem_of
from tests.contract.waiting import until
from tests.integration.processes import ApiProcess
from tests.integration.store import Store

FreshKey = Callable[[], str]

DOWN = "s3"


@pytest.fixture(scope="module")
def held(strict_api: ApiProcess, token: str, documented: Documented, store: Store) -> Iterator[list[str]]:
    """Two keys of the shard that is down, written before."""
    keys = store.keys_on(DOWN, 2, "down")
    with Api(strict_api.base_url, token, documented) as api:
        api.done("write", {"data": {key: {"a": 1} for key in keys}, "ttl": 600})
        yield keys
        api.delete(*keys)


@pytest.fixture(scope="module", autouse=True)
def outage(
    cluster: Cluster, strict_api: ApiProcess, token: str, documented: Documented, held: list[str]
) -> Iterator[None]:
    """Stop a shard for these tests. When it runs again, it is used again."""
    cluster.stop_program(f"shard-{DOWN}")
    try:
        yield
    finally:
        cluster.start_program(f"shard-{DOWN}")
        cluster.wait_running(f"shard-{DOWN}")
    with Api(strict_api.base_url, token, documented) as api:
        body = json_body({"keys": held})
        until(lambda: api.post("read", body).status_code == 200, 10, "a restarted shard is not used")


def test_keys_of_other_shards_work_while_one_is_down(
    strict: Api, store: Store, fresh_key: FreshKey, held: list[str]
) -> None:
    others = store.keys_on("s1", 3, fresh_key())
    body = json_body({"data": dict.fromkeys([*held, *others], 1)})
    # Each worker notices it by a call on its old connection, and cannot know the outcome of this call.
    answers: list[httpx.Response] = []

    def refused() -> bool:
        answers.append(strict.post("write", body))
        return answers[-1].status_code == 503

    until(refused, 15, "a shard that is down is not noticed")
    answer = answers[-1]
    problem = problem_of(answer, "shard-unavailable", "2 of 5 keys failed")
    assert int(answer.headers["retry-after"]) >= 1
    assert_usable(strict, answer)
    assert problem["failed"] == dict.fromkeys(held, "not_applied")
    assert [reason["code"] for reason in problem["reasons"]] == ["unreachable"]
    assert strict.read(*others) == dict.fromkeys(others, 1)
    problem_of(strict.post("read", json_body({"keys": [*held, *others]})), "shard-unavailable", "2 of 5")


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_partial_read_returns_the_keys_of_the_other_shards(
    strict: Api, store: Store, fresh_key: FreshKey, held: list[str], as_: str
) -> None:
    here, missing = store.keys_on("s1", 2, fresh_key())
    strict.done("write", {"data": {here: [1]}, "ttl": 600})
    asked = {"keys": [*held, here, missing], "partial": True}
    answer = strict.done("read", asked, as_)
    assert list(answer) == ["data", "not_found", "failed", "status", "reasons"]
    assert (answer["data"], answer["not_found"], answer["status"]) == ({here: [1]}, [missing], "partial")
    assert answer["failed"] == dict.fromkeys(held, "not_read")
    (reason,) = answer["reasons"]
    assert (reason["shard"], reason["keys"]) == (DOWN, 2)
    assert reason["code"] in ("unreachable", "no_answer")
    more = strict.done("read", {**asked, "with": ["version", "expires_at"]}, as_)
    assert more.pop("meta")[here].keys() == {"version", "expires_at"}
    assert {**more, "reasons": []} == {**answer, "reasons": []}


def test_a_partial_read_that_gets_no_key_at_all_is_a_problem(strict: Api, held: list[str]) -> None:
    problem = problem_of(strict.ask("read", {"keys": held, "partial": True}), "shard-unavailable", "2 of 2")
    assert problem["failed"] == dict.fromkeys(held, "not_read")
