"""`Idempotency-Key`: a request with the same key is applied once, whichever api gets it and whichever process dies."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import MSGPACK, Api, json_body, msgpack_body
from tests.contract.documented import Documented
from tests.contract.problems import assert_usable, problem_of
from tests.contract.waiting import until
from tests.integration.claims import is_finished, refusing_outcomes
from tests.integration.conftest import NewUser, PausedWorkers, login
from tests.integration.store import Store

FreshKey = Callable[[], str]


def once(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_a_repeated_write_is_applied_once(api: Api, store: Store, fresh_key: FreshKey) -> None:
    key, body = fresh_key(), json_body({"data": {fresh_key(): 1}})
    before = store.chunks_applied()
    answers = [api.post("write", body, once(key)) for _ in range(3)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b'{"status":"success"}')}
    assert store.chunks_applied() == before + 1


def test_a_write_without_the_header_is_applied_each_time(api: Api, store: Store, fresh_key: FreshKey) -> None:
    body = json_body({"data": {fresh_key(): 1}})
    before = store.chunks_applied()
    for _ in range(3):
        api.post("write", body)
    assert store.chunks_applied() == before + 3


def test_a_repeated_write_does_not_undo_later_changes(api: Api, fresh_key: FreshKey) -> None:
    key, name = fresh_key(), fresh_key()
    first = json_body({"data": {name: "first"}})
    api.post("write", first, once(key))
    api.write({name: "second"})
    assert api.post("write", first, once(key)).status_code == 200
    assert api.read(name) == {name: "second"}


def test_a_repeated_delete_returns_the_first_count(api: Api, store: Store, fresh_key: FreshKey) -> None:
    key, names = fresh_key(), store.keys_on("s1", 3, fresh_key())
    api.write(dict.fromkeys(names, 1))
    before = store.chunks_applied()
    assert [api.delete(*names, **once(key)) for _ in range(3)] == [3, 3, 3]
    assert store.chunks_applied() == before + 1


def test_a_repeated_delete_does_not_remove_later_writes(api: Api, fresh_key: FreshKey) -> None:
    key, name = fresh_key(), fresh_key()
    api.write({name: "first"})
    assert api.delete(name, **once(key)) == 1
    api.write({name: "second"})
    assert api.delete(name, **once(key)) == 1
    assert api.read(name) == {name: "second"}


def test_every_chunk_of_a_large_batch_is_applied_once(api: Api, store: Store, fresh_key: FreshKey) -> None:
    key, body = fresh_key(), json_body({"data": {fresh_key(): number for number in range(9000)}})
    before = store.chunks_applied()
    assert api.post("write", body, once(key)).status_code == 200
    applied = store.chunks_applied() - before
    assert applied > len(store.consoles), "the batch is too small to be split on each shard"
    assert api.post("write", body, once(key)).status_code == 200
    assert store.chunks_applied() == before + applied


def test_a_repeat_through_another_api_process_is_applied_once(
    api: Api, second: Api, store: Store, fresh_key: FreshKey
) -> None:
    key, name = fresh_key(), fresh_key()
    body = json_body({"data": {name: 1}})
    before = store.chunks_applied()
    assert [client.post("write", body, once(key)).status_code for client in (api, second, api)] == [200] * 3
    assert store.chunks_applied() == before + 1


@pytest.mark.parametrize("call", ["write", "delete"])
def test_repeats_at_the_same_time_through_two_apis_are_applied_once(
    api: Api, second: Api, store: Store, fresh_key: FreshKey, call: str
) -> None:
    name = fresh_key()
    api.write({name: 0})
    body = json_body({"data": {name: 1}} if call == "write" else {"keys": [name]})
    rounds, connections = 10, 6
    before = store.chunks_applied()
    with ExitStack() as stack:
        urls = [str(client.http.base_url) for client in (api, second)]
        clients = [stack.enter_context(Api(urls[number % 2], api.token)) for number in range(connections)]
        threads = stack.enter_context(ThreadPoolExecutor(connections))
        for _ in range(rounds):
            header = once(fresh_key())
            answers = list(threads.map(lambda client, header=header: client.post(call, body, header), clients))
            assert [answer.status_code for answer in answers] == [200] * connections, answers[0].text
            assert len({answer.content for answer in answers}) == 1
    assert store.chunks_applied() == before + rounds


def test_a_key_with_another_body_is_refused(api: Api, second: Api, fresh_key: FreshKey) -> None:
    key, name = fresh_key(), fresh_key()
    api.write({name: 1}, **once(key))
    for client in (api, second):
        answer = client.post("write", json_body({"data": {name: 2}}), once(key))
        problem_of(answer, "idempotency-key-reused")
        assert_usable(client, answer)
    assert api.read(name) == {name: 1}


def test_a_key_with_another_body_at_the_same_time_is_refused(
    api: Api, second: Api, fresh_key: FreshKey, paused_workers: Callable[[], PausedWorkers]
) -> None:
    key, name = fresh_key(), fresh_key()
    with ThreadPoolExecutor(2) as threads, Api(str(api.http.base_url), api.token) as other:
        other.read_document(name)
        with paused_workers():
            bodies = [json_body({"data": {name: number}}) for number in range(2)]
            first = threads.submit(api.post, "write", bodies[0], once(key))
            third = threads.submit(other.post, "write", bodies[1], once(key))
        statuses = sorted([first.result().status_code, third.result().status_code])
    assert statuses == [200, 422]
    problem_of(second.post("write", json_body({"data": {name: 2}}), once(key)), "idempotency-key-reused")


def test_a_key_with_another_call_is_refused(api: Api, fresh_key: FreshKey) -> None:
    key, name = fresh_key(), fresh_key()
    api.write({name: 1}, **once(key))
    problem_of(api.post("delete", json_body({"keys": [name]}), once(key)), "idempotency-key-reused")
    assert api.read(name) == {name: 1}


def test_a_key_with_another_format_is_refused(api: Api, fresh_key: FreshKey) -> None:
    key, name = fresh_key(), fresh_key()
    api.write({name: 1}, **once(key))
    answer = api.post("write", msgpack_body({"data": {name: 1}}), {"content-type": MSGPACK, **once(key)})
    problem_of(answer, "idempotency-key-reused")


def test_another_user_may_use_the_same_key(api: Api, new_user: NewUser, fresh_key: FreshKey) -> None:
    key, name = fresh_key(), fresh_key()
    api.write({name: 1}, **once(key))
    user = login(api, new_user())
    assert api.post("write", json_body({"data": {name: 2}}), {"authorization": user, **once(key)}).status_code == 200
    assert api.read(name) == {name: 2}


def test_an_idempotency_key_may_have_256_characters(api: Api, fresh_key: FreshKey) -> None:
    key = fresh_key().ljust(256, "~")
    api.write({fresh_key(): 1}, **once(key))


@pytest.mark.parametrize("key", [b"", b"x" * 257, b"\xc3\xa9", b"a\tb"])
@pytest.mark.parametrize("call", ["write", "delete", "touch", "increment"])
def test_an_invalid_idempotency_key_is_refused(api: Api, fresh_key: FreshKey, call: str, key: bytes) -> None:
    name = fresh_key()
    bodies = {"delete": {"keys": [name]}, "touch": {"keys": [name], "ttl": 60}}
    body = json_body(bodies.get(call, {"data": {name: 1}}))
    headers = [(b"authorization", (api.token or "").encode()), (b"idempotency-key", key)]
    answer = api.http.post(f"/api/{call}", content=body, headers=headers)
    problem_of(answer, "invalid-header", "Idempotency-Key")
    assert_usable(api, answer)
    assert api.read_document(name)["data"] == {}


def test_a_request_that_was_refused_may_be_repeated(api: Api, store: Store, fresh_key: FreshKey) -> None:
    key, name = fresh_key(), fresh_key()
    body = json_body({"data": {name: 1}})
    with store.read_only(*store.consoles):
        answer = api.post("write", body, once(key))
        problem_of(answer, "shard-unavailable")
        assert_usable(api, answer)
    assert api.post("write", body, once(key)).status_code == 200
    assert api.read(name) == {name: 1}


def test_a_retry_does_not_apply_again_what_a_partly_failed_batch_applied(
    api: Api, store: Store, fresh_key: FreshKey
) -> None:
    prefix = fresh_key()
    (claimed,) = store.keys_on("s1", 1, prefix)
    names = [*store.keys_on("s1", 2, prefix), *store.keys_on("s2", 2, prefix)]
    body = json_body({"data": dict.fromkeys(names, 1)})
    before = store.chunks_applied()
    with store.read_only("s2"):
        problem = problem_of(api.post("write", body, once(claimed)), "shard-unavailable")
        assert sorted(problem["failed"]) == sorted(names[2:])
        assert store.chunks_applied() == before + 1
    assert api.post("write", body, once(claimed)).status_code == 200
    assert store.chunks_applied() == before + 2


def test_a_repeat_after_a_killed_worker_is_applied_once(
    cluster: Cluster, service_url: str, token: str, documented: Documented, store: Store, fresh_key: FreshKey
) -> None:
    key, name = fresh_key(), fresh_key()
    body = json_body({"data": {name: 1}})
    before = store.chunks_applied()
    workers = [f"worker-{number}" for number in range(1, cluster.workers() + 1)]
    with Api(service_url, token, documented) as api, ThreadPoolExecutor(1) as threads:
        api.read_document(name)
        pids = {worker: cluster.kill(worker) for worker in workers}
        first = threads.submit(api.post, "write", body, once(key))
        for worker, pid in pids.items():
            cluster.wait_ended(worker, pid)
        cluster.wait_running()
        first.result()
        assert api.post("write", body, once(key)).status_code == 200
    assert store.chunks_applied() == before + 1
    assert store.most_applications() == 1


def test_repeats_are_right_even_before_a_shard_records_the_outcome(
    cluster: Cluster, api: Api, store: Store, fresh_key: FreshKey
) -> None:
    (key,) = store.keys_on("s1", 1, fresh_key())
    names = store.keys_on("s2", 3, fresh_key())
    api.write(dict.fromkeys(names, 1))
    body = json_body({"keys": names})
    before = store.chunks_applied()
    with refusing_outcomes(store, "s1"):
        answers = [api.post("delete", body, once(key)) for _ in range(3)]
        assert not is_finished(store, "s1", cluster.admin_user, key)
    assert {answer.content for answer in answers} == {b'{"status":"success","deleted":3}'}
    until(lambda: is_finished(store, "s1", cluster.admin_user, key), 10, "the outcome is not recorded")
    assert api.post("delete", body, once(key)).content == answers[0].content
    assert store.chunks_applied() == before + 1


def test_a_user_with_too_many_claims_gets_503_and_nothing_is_applied(
    api: Api, store: Store, fresh_key: FreshKey
) -> None:
    old, new = store.keys_on("s1", 2, fresh_key())
    name = fresh_key()
    assert api.post("write", json_body({"data": {name: "old"}}), once(old)).status_code == 200
    body = json_body({"data": {name: "new"}})
    console = store.consoles["s1"]
    limit = "require('tarantkv.claims').attach(box.space.claims, {})"
    console.run(limit.format(0))
    try:
        answer = api.post("write", body, once(new))
        problem = problem_of(answer, "overloaded", "Idempotency-Key")
        assert "failed" not in problem
        assert int(answer.headers["retry-after"]) > 1
        assert api.read(name) == {name: "old"}
        assert api.post("write", json_body({"data": {name: "old"}}), once(old)).status_code == 200
    finally:
        console.run(limit.format(1_000_000))
    assert api.post("write", body, once(new)).status_code == 200
    assert api.read(name) == {name: "new"}
