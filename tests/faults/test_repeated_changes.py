"""A change with conditions, an increment or a touch reaches its shard twice: it counts once, and its client gets the
first outcome.

A client never gets `condition_failed` because of its own success. Other tests of this folder check the same under load:
their clients use all these changes.
"""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.faults.asking import Mix
from tests.faults.console import evaluate, keys_of
from tests.faults.load import Load, login
from tests.faults.processes import unread_bytes, wait_for
from tests.faults.scenario import Scenario
from tests.faults.workers import another_worker

SHARD = "s1"

_KILL_AFTER_COMMIT = """
    (function()
        local ffi = require('ffi')
        ffi.cdef('int kill(int, int); int getpid(void);')
        local visibility = require('tarantkv.visibility')
        local commit = visibility.commit
        visibility.commit = function(...)
            local done, err = commit(...)
            if %s then ffi.C.kill(ffi.C.getpid(), 9) end
            return done, err
        end
        return true
    end)()
"""

Post = Callable[..., httpx.Response]


@pytest.fixture
def post(mended: Cluster) -> Iterator[Post]:
    token = login(mended.base_url, mended.admin_user, mended.admin_password)
    with httpx.Client(base_url=mended.base_url, headers={"Authorization": token}, trust_env=False, timeout=20) as http:

        def send(call: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
            # The api may have been killed since.
            return http.post(f"/api/{call}", json=body, headers={"Connection": "close", **headers})

        yield send


def kill_after_commit(cluster: Cluster, key: str, when: str) -> int:
    """Kill the shard when it has committed a change that makes `when` true for `key`; returns its process id."""
    condition = when.format(key=f"box.space.kv:get({json.dumps(key)})")
    evaluate(cluster.console_socket(SHARD), " ".join((_KILL_AFTER_COMMIT % condition).split()))
    return cluster.pid(f"shard-{SHARD}")


WRITE_IF_ABSENT = ("write", lambda key: {"data": {key: 2}, "if": "absent"}, "{key} ~= nil")
DELETE_IF_PRESENT = ("delete", lambda key: {"keys": [key], "if": "present"}, "{key} == nil")
INCREMENT = ("increment", lambda key: {"data": {key: 4}}, "{key}[3] == 5")
TOUCH = ("touch", lambda key: {"keys": [key], "ttl": 60}, "{key}[5] ~= nil")

SUCCESSES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "write": lambda _: {"status": "success"},
    "delete": lambda _: {"status": "success", "deleted": 1},
    "increment": lambda key: {"data": {key: 5}},
    "touch": lambda _: {"status": "success", "touched": 1},
}


@pytest.mark.parametrize(
    ("call", "body", "done"),
    [WRITE_IF_ABSENT, DELETE_IF_PRESENT, INCREMENT, TOUCH],
    ids=["write", "delete", "increment", "touch"],
)
def test_a_change_counts_once_if_the_shard_is_killed_between_commit_and_reply(
    mended: Cluster, post: Post, call: str, body: Callable[[str], Mapping[str, Any]], done: str
) -> None:
    (key,) = keys_of(mended, SHARD, f"committed/{call}", 1)
    post("delete", {"keys": [key]}).raise_for_status()
    if call != "write":
        post("write", {"data": {key: 1}}).raise_for_status()
    pid = kill_after_commit(mended, key, done)
    answer = post(call, body(key))
    mended.wait_ended(f"shard-{SHARD}", pid)
    assert (answer.status_code, answer.json()) == (200, SUCCESSES[call](key))
    if call == "increment":
        assert post("read", {"keys": [key]}).json()["data"] == {key: 5}


def test_retries_get_the_outcome_of_changes_that_were_applied_after_the_api_had_died(
    mended: Cluster, post: Post
) -> None:
    """The shard reads the calls of the first attempts when the api is already dead."""
    cluster = mended
    port = cluster.config.shards[0].port
    absent, present, counter, refused, touched = keys_of(cluster, SHARD, "outlived", 5)
    # Claims must not wait for the same shard.
    names = keys_of(cluster, "s2", "retries", 5)
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("write", {"data": {absent: 2}, "if": "absent", "return": ["version"]}),
        ("delete", {"keys": [present], "if": "present"}),
        ("increment", {"data": {counter: 4}}),
        ("write", {"data": {refused: 2}, "if": "absent"}),
        ("touch", {"keys": [touched], "ttl": 60}),
    ]
    post("delete", {"keys": [absent]}).raise_for_status()
    post("write", {"data": {present: 1, counter: 1, refused: 1, touched: 1}}).raise_for_status()
    workers = [cluster.pid(name) for name in ("worker-1", "worker-2")]

    def send(number: int) -> httpx.Response:
        call, body = bodies[number]
        return post(call, body, **{"Idempotency-Key": names[number]})

    def applied() -> bool:
        said = f"box.space.kv:get({json.dumps(absent)}) ~= nil, box.space.kv:get({json.dumps(touched)})[5] ~= nil"
        return evaluate(cluster.console_socket(SHARD), said) == [True, True]

    with ThreadPoolExecutor(len(bodies)) as others:
        cluster.kill(f"shard-{SHARD}", signal.SIGSTOP)
        first = [others.submit(send, number) for number in range(len(bodies))]
        try:
            # The api may send its own questions to the shard as well.
            wait_for(lambda: waiting(cluster) >= len(bodies), "the requests do not wait")
            wait_for(lambda: any(unread_bytes(port, pid) for pid in workers), "the shard was not called")
            dead = cluster.kill("api")
            for each in first:
                with suppress(httpx.TransportError):
                    # On a busy machine the deadline may come before the api's death.
                    assert each.result().status_code == 504
        finally:
            cluster.kill(f"shard-{SHARD}", signal.SIGCONT)
    wait_for(applied, "the first tries were not applied")
    cluster.wait_ended("api", dead)
    cluster.wait_ready()
    answers = [send(number) for number in range(len(bodies))]
    written, deleted, incremented, failed, touch = (answer.json() for answer in answers)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 409, 200]
    assert (written["status"], list(written["versions"])) == ("success", [absent])
    assert deleted == {"status": "success", "deleted": 1}
    assert incremented == {"data": {counter: 5}}
    assert failed["failed"] == {refused: "condition_failed"}
    assert touch == {"status": "success", "touched": 1}
    read = post("read", {"keys": [absent, present, counter, refused], "with": ["version"]}).json()
    assert read["data"] == {absent: 2, counter: 5, refused: 1}
    assert read["meta"][absent]["version"] == written["versions"][absent]


def waiting(cluster: Cluster) -> int:
    """How many chunks the api waits for."""
    text = httpx.get(f"{cluster.base_url}/metrics", trust_env=False).text
    return sum(int(float(line.split()[1])) for line in text.splitlines() if line.startswith("tarantkv_chunks_waiting"))


def test_increments_count_once_if_a_worker_freezes_after_its_call(mended: Cluster, post: Post) -> None:
    """A peer takes the frame over while the shard's reply waits unread, and calls the shard with the same chunks."""
    cluster = mended
    counters = keys_of(cluster, SHARD, "redelivered", 20)
    post("delete", {"keys": counters}).raise_for_status()
    with ExitStack() as stack, ThreadPoolExecutor(1) as other:
        stack.enter_context(another_worker(cluster))
        pids = [cluster.pid(name) for name in ("worker-1", "worker-2")]
        port = cluster.config.shards[0].port
        cluster.kill(f"shard-{SHARD}", signal.SIGSTOP)
        answer = other.submit(post, "increment", {"data": dict.fromkeys(counters, 3)})
        frozen: list[str] = []
        try:
            wait_for(lambda: any(unread_bytes(port, pid) for pid in pids), "the shard was not called")
            frozen = [name for name in ("worker-1", "worker-2") if unread_bytes(port, cluster.pid(name))]
            for name in frozen:
                cluster.kill(name, signal.SIGSTOP)
        finally:
            cluster.kill(f"shard-{SHARD}", signal.SIGCONT)
        try:
            assert answer.result().json() == {"data": dict.fromkeys(counters, 3)}
        finally:
            for name in frozen:
                cluster.kill(name, signal.SIGCONT)
    assert post("read", {"keys": counters}).json()["data"] == dict.fromkeys(counters, 3)


COUNTING = Mix(write=0.1, read=0.1, delete=0.1, increment=0.7, touch=0, keyed=0.5)
KILLED = ("shard-s1", "worker-1", "redis", "api", "shard-s2", "worker-2", "shard-s3")


@pytest.mark.parametrize("rounds", [1, pytest.param(6, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_counters_are_the_sum_of_their_increments_whichever_process_is_killed(scenario: Scenario, rounds: int) -> None:
    """Each increment that was acknowledged counts once, and each of unknown outcome once or not at all."""
    cluster = scenario.cluster

    def kill(program: str) -> None:
        pid = cluster.kill(program)
        cluster.wait_ended(program, pid)
        cluster.wait_running(program)

    async def fault(load: Load) -> None:
        for program in KILLED[: 3 if rounds == 1 else None] * rounds:
            await asyncio.to_thread(kill, program)
            await load.good(40)

    run = scenario.run(fault, before=60, after=60, mix=COUNTING)
    assert run.kinds()["increment"] > 50
