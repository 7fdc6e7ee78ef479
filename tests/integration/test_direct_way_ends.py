"""How a request that is there whole ends, where not simply with its answer: refusals at the door, clients that go,
the end of the process; and what is counted and logged of it.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from localcluster.cluster import Cluster
from tests.contract.calls import MSGPACK, json_body
from tests.integration.conftest import NewApi, PausedWorkers
from tests.integration.processes import ApiProcess
from tests.integration.waiting import until
from tests.integration.wire import Wire, request

FreshKey = Callable[[], str]
Pause = Callable[[], PausedWorkers]
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
READ = b'{"keys": ["direct:nothing"]}'
LARGE = 100_000
"""Bytes of a body, more than a head may have and less than a server takes in one piece."""

MAX_WAIT_S = 0.3
"""After four times as long what waits at the door is refused itself."""

HEAD_TIMEOUT_S = 1

AFTER_ANOTHER = pytest.mark.parametrize("after_another", [False, True], ids=["the first", "after another"])
"""Where one was refused a moment ago, the next is looked at before it is parsed."""

WAYS = pytest.mark.parametrize("way", ["whole", "in pieces"])


def pieces(sent: bytes, way: str) -> list[bytes]:
    """A request as it is sent."""
    head, end, body = sent.partition(b"\r\n\r\n")
    return [sent] if way == "whole" else [head + end, body]


@pytest.fixture(scope="module")
def narrow_api(cluster: Cluster) -> Iterator[ApiProcess]:
    """An api that lets little be under way, and in which nothing waits for long."""
    settings = {
        "TARANTKV_MAX_INFLIGHT_CHUNKS": "4",
        "TARANTKV_MAX_WAIT_S": str(MAX_WAIT_S),
        "TARANTKV_HEAD_TIMEOUT_S": str(HEAD_TIMEOUT_S),
        "TARANTKV_REQUEST_TIMEOUT_S": "30",
    }
    with ApiProcess(cluster, settings) as process:
        yield process


@pytest.fixture
def shut_door(narrow_api: ApiProcess, token: str, paused_workers: Pause) -> Iterator[None]:
    """For the time of a test nothing of the user is let in: so much is under way that no shard has room."""
    body = json_body({"keys": [f"direct:{number}" for number in range(60)]})
    everywhere = request("/api/read", body, {"Authorization": token})
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(narrow_api.base_url)) for _ in range(8)]
        # What another test has left is over, and from here on the api remembers who asks.
        until(lambda: wires[0].ask(everywhere).status == 200, 10, "the door does not open")
        stack.enter_context(paused_workers())
        for wire in wires:
            wire.send(everywhere)
            wire.wait_until_read()
        yield


def once_it_refuses(
    process: ApiProcess, token: str, scenario: Callable[[Wire], float], *, after_another: bool = False
) -> None:
    """Play a scenario while somebody waits for so long that others of the user are refused at once.

    It returns in how many seconds it was refused, and is played again if it waited itself.
    """
    asked = request("/api/read", READ, {"Authorization": token})

    def refused_at_once() -> bool:
        with Wire(process.base_url) as waiting, Wire(process.base_url) as wire:
            waiting.send(asked)
            waiting.wait_until_read()
            time.sleep(1.5 * MAX_WAIT_S)
            if after_another:
                with Wire(process.base_url) as another:
                    assert another.ask(asked).status == 503
            return scenario(wire) < MAX_WAIT_S / 2

    until(refused_at_once, 20, "nothing is refused at once")


@pytest.mark.usefixtures("shut_door")
@WAYS
def test_a_large_request_is_refused_at_the_door_on_a_connection_that_goes_on(
    narrow_api: ApiProcess, token: str, way: str
) -> None:
    def sent(size: int) -> bytes:
        # After an empty line it is not recognized before it has been parsed.
        return b"\r\n" + request("/api/read", READ.ljust(size), {"Authorization": token})

    def scenario(wire: Wire) -> float:
        # The kernel takes so much for one read only on a connection that had much to read before.
        assert wire.ask(sent(20 * LARGE)).status == 503
        began = time.monotonic()
        with stopped(narrow_api) if way == "whole" else nullcontext():
            wire.send(*pieces(sent(LARGE), way))
        assert wire.answer().status == 503
        seconds = time.monotonic() - began
        assert wire.ask(LIVE).status == 200
        return seconds

    once_it_refuses(narrow_api, token, scenario)


@contextmanager
def stopped(process: ApiProcess) -> Iterator[None]:
    """What is sent for the time of a `with` block is read together after it."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


@pytest.mark.usefixtures("shut_door")
@AFTER_ANOTHER
def test_the_rest_of_a_refused_body_is_not_taken_for_a_request(
    narrow_api: ApiProcess, token: str, *, after_another: bool
) -> None:
    inside = request("/api/read", READ, {"Authorization": token})
    sent = request("/api/read", READ + inside, {"Authorization": token})

    def scenario(wire: Wire) -> float:
        began = time.monotonic()
        wire.send(sent.removesuffix(inside))
        assert wire.answer().status == 503
        seconds = time.monotonic() - began
        wire.send(inside)
        wire.wait_until_read()
        assert wire.ask(LIVE).status == 200
        return seconds

    once_it_refuses(narrow_api, token, scenario, after_another=after_another)


@pytest.mark.usefixtures("shut_door")
def test_the_rest_of_a_head_is_not_taken_for_a_request(narrow_api: ApiProcess, token: str) -> None:
    asked = request("/api/read", READ, {"Authorization": token})
    begun = LIVE.removesuffix(b"\r\n") + b"X-Rest: "

    def scenario(wire: Wire) -> float:
        assert wire.ask(LIVE + begun).status == 200
        with Wire(narrow_api.base_url) as another:
            began = time.monotonic()
            assert another.ask(asked).status == 503
            assert wire.ask(b"POST /api/read HTTP/1.1\r\nAuthorization: " + token.encode() + b"\r\n\r\n").status == 200
            assert another.ask(asked).status == 503
            return time.monotonic() - began

    once_it_refuses(narrow_api, token, scenario, after_another=True)


@pytest.mark.usefixtures("shut_door")
@WAYS
@AFTER_ANOTHER
def test_a_body_that_is_refused_before_its_end_has_a_time_to_end(
    narrow_api: ApiProcess, token: str, way: str, *, after_another: bool
) -> None:
    sent = request("/api/read", READ, {"Authorization": token})

    def scenario(wire: Wire) -> float:
        began = time.monotonic()
        wire.send(*pieces(sent[:-1], way))
        assert wire.answer().status == 503
        seconds = time.monotonic() - began
        assert wire.is_closed()
        return seconds

    once_it_refuses(narrow_api, token, scenario, after_another=after_another)


@pytest.mark.usefixtures("shut_door")
@WAYS
def test_a_connection_whose_whole_request_was_refused_may_wait_before_the_next(
    narrow_api: ApiProcess, token: str, way: str
) -> None:
    # After an empty line it is not recognized before it has been parsed.
    sent = b"\r\n" + request("/api/read", READ, {"Authorization": token})

    def scenario(wire: Wire) -> float:
        began = time.monotonic()
        wire.send(*pieces(sent, way))
        assert wire.answer().status == 503
        seconds = time.monotonic() - began
        wire.socket.settimeout(1.3 * HEAD_TIMEOUT_S)
        with pytest.raises(TimeoutError):
            wire.is_closed()
        assert wire.ask(LIVE).status == 200
        return seconds

    once_it_refuses(narrow_api, token, scenario)


def metrics(process: ApiProcess) -> dict[tuple[str, str], float]:
    """What the api has counted of requests and batches, without how long they took."""
    text = httpx.get(f"{process.base_url}/metrics", trust_env=False, verify=False).text
    return {
        (sample.name, json.dumps(sample.labels, sort_keys=True)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("route", "").startswith("/api/")
        and not sample.name.endswith(("seconds_sum", "_created"))
        and sample.labels.get("le", "+Inf") == "+Inf"
    }


def log_lines(process: ApiProcess, logger: str) -> list[dict[str, Any]]:
    """What the api has logged so far under this name."""
    lines = [json.loads(line) for line in process.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == logger]


FORWARDED = {
    "nothing": ((), "127.0.0.1"),
    "an empty list": (("",), "127.0.0.1"),
    "a client": (("203.0.113.7",), "203.0.113.7"),
    "a client and a proxy": (("198.51.100.1, 203.0.113.7, 127.0.0.1",), "203.0.113.7"),
    "two headers": (("198.51.100.1", "203.0.113.7"), "203.0.113.7"),
    "a port": (("[2001:db8::1]:443",), "2001:db8::1"),
}


@pytest.fixture(scope="module")
def proxied(cluster: Cluster) -> Iterator[ApiProcess]:
    """An api that logs every request, behind a proxy."""
    with ApiProcess(cluster, {"TARANTKV_ACCESS_LOG": "all", "TARANTKV_TRUSTED_PROXIES": "127.0.0.1"}) as process:
        yield process


@WAYS
@pytest.mark.parametrize("named", FORWARDED)
def test_a_request_is_logged_with_its_client(
    proxied: ApiProcess, token: str, fresh_key: FreshKey, named: str, way: str
) -> None:
    values, client = FORWARDED[named]
    request_id = fresh_key()
    forwarded = "".join(f"X-Forwarded-For: {value}\r\n" for value in values).encode()
    headers = {"Authorization": token, "X-Request-Id": request_id}
    sent = request("/api/read", READ, headers).replace(b"Host: x\r\n", b"Host: x\r\n" + forwarded)
    with Wire(proxied.base_url) as wire:
        assert wire.ask(*pieces(sent, way)).status == 200
    (line,) = logged(proxied, request_id)
    assert line.pop("ms") >= 0
    assert line.pop("time")
    assert line == {
        "level": "info",
        "logger": "api.access",
        "message": "request",
        "request_id": request_id,
        "method": "POST",
        "path": "/api/read",
        "status": 200,
        "client": client,
    }


def logged(process: ApiProcess, request_id: str) -> list[dict[str, Any]]:
    """The lines of a request, which are there a moment after its answer."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [line for line in log_lines(process, "api.access") if line["request_id"] == request_id]
        return bool(found)

    until(there, 5, "not logged")
    return found


@WAYS
def test_nobody_names_a_client_who_is_not_trusted_to(new_api: NewApi, token: str, way: str) -> None:
    process = new_api(TARANTKV_ACCESS_LOG="errors")
    headers = {"Authorization": token, "X-Forwarded-For": "203.0.113.7", "X-Request-Id": "good"}
    with Wire(process.base_url) as wire:
        assert wire.ask(*pieces(request("/api/read", READ, headers), way)).status == 200
        assert wire.ask(*pieces(request("/api/read", b"x", {**headers, "X-Request-Id": "bad"}), way)).status == 400
    (line,) = logged(process, "bad")
    assert (line["client"], line["status"]) == ("127.0.0.1", 400)
    assert not [line for line in log_lines(process, "api.access") if line["request_id"] == "good"]


def test_both_ways_count_the_same(second_api: ApiProcess, token: str, fresh_key: FreshKey) -> None:
    headers = {"Authorization": token}
    key = fresh_key()
    counted = []
    for way in ("whole", "in pieces"):
        before = metrics(second_api)
        with Wire(second_api.base_url) as wire:
            for path, body, status in (
                ("/api/write", json_body({"data": {key: 1, key + "x": 2}}), 200),
                ("/api/read", json_body({"keys": [key]}), 200),
                ("/api/delete", json_body({"keys": [key, key + "x"]}), 200),
                ("/api/read", b"x", 400),
            ):
                assert wire.ask(*pieces(request(path, body, headers), way)).status == status
            # This one begins when the one before it has been counted.
            assert wire.ask(LIVE).status == 200
        after = metrics(second_api)
        counted.append(
            {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name)}
        )
    assert counted[0] == counted[1]
    assert counted[0]["tarantkv_requests_total", '{"route": "/api/write", "status": "200"}'] == 1
    assert counted[0]["tarantkv_batch_keys_sum", '{"route": "/api/write"}'] == 2


def complaints(process: ApiProcess) -> list[dict[str, Any]]:
    """Warnings and errors in the api's log, and whatever is no line of it."""
    lines = process.log().splitlines()
    parsed = [json.loads(line) if line.startswith("{") else {"level": "none", "message": line} for line in lines]
    return [line for line in parsed if line["level"] != "info"]


WRITES = ("tarantkv_requests_total", '{"route": "/api/write", "status": "200"}')


@pytest.mark.parametrize("end", ["closed", "reset"])
@pytest.mark.parametrize("behind", ["nothing", "a request", "half a request"])
@pytest.mark.parametrize("held", ["at once", "under way"])
def test_a_client_that_goes_before_its_answer_leaves_its_request_and_no_trace(
    second_api: ApiProcess, token: str, fresh_key: FreshKey, paused_workers: Pause, end: str, behind: str, held: str
) -> None:
    key, ignored = fresh_key(), fresh_key()
    headers = {"Authorization": token}
    sent = request("/api/write", json_body({"data": {key: 1}}), headers)
    more = request("/api/write", json_body({"data": {ignored: 1}}), headers)
    sent += {"nothing": b"", "a request": more, "half a request": more[:-3]}[behind]
    with Wire(second_api.base_url) as wire:
        assert wire.ask(request("/api/read", READ, headers)).status == 200
    before, complained = metrics(second_api).get(WRITES, 0), complaints(second_api)

    def go() -> None:
        wire = Wire(second_api.base_url)
        wire.send(sent)
        if held == "under way" or end == "reset":
            # A reset takes back what has not been read yet.
            wire.wait_until_read()
        wire.reset() if end == "reset" else wire.socket.close()

    if held == "under way":
        with paused_workers():
            go()
            with Wire(second_api.base_url) as wire:
                assert wire.ask(LIVE).status == 200
    else:
        go()
    until(lambda: metrics(second_api).get(WRITES, 0) >= before + 1, 10, "not counted")
    with Wire(second_api.base_url) as wire:
        found = wire.ask(request("/api/read", json_body({"keys": [key]}), headers))
        assert json.loads(found.body)["data"] == {key: 1}
        assert wire.ask(LIVE).status == 200
    assert complaints(second_api) == complained


@WAYS
def test_answers_whose_clients_have_gone_give_their_memory_back(
    new_api: NewApi, token: str, fresh_key: FreshKey, paused_workers: Pause, way: str
) -> None:
    process = new_api(TARANTKV_MAX_ANSWERING_BYTES="1000000", TARANTKV_MAX_ANSWER_BYTES="1000000")
    headers = {"Authorization": token}
    key = fresh_key()
    sent = request("/api/read", json_body({"keys": [key]}), headers)
    with Wire(process.base_url) as staying:
        assert staying.ask(request("/api/write", json_body({"data": {key: "x" * 500_000}}), headers)).status == 200
        for _ in range(4):
            with paused_workers(), Wire(process.base_url) as going:
                going.send(*pieces(sent, way))
                going.wait_until_read()
                staying.send(sent)
                staying.wait_until_read()
                # With a reset, which is noticed sooner than that answers are not read.
                going.reset()
                assert_live(process)
            assert staying.answer().status == 200


def test_a_large_answer_is_held_once_while_its_client_is_slow(new_api: NewApi, token: str, fresh_key: FreshKey) -> None:
    # What is large goes back to the system when it is freed.
    process = new_api(MALLOC_MMAP_THRESHOLD_="100000")
    memory = psutil.Process(process.pid)
    keys = [fresh_key() for _ in range(60)]
    headers = {"Authorization": token}
    value = "x" * 500_000
    size = len(keys) * len(value)
    sent = request("/api/read", json_body({"keys": keys}), {**headers, "Accept": MSGPACK})
    with Wire(process.base_url) as wire:
        for start in range(0, len(keys), 20):
            body = json_body({"data": dict.fromkeys(keys[start : start + 20], value)})
            assert wire.ask(request("/api/write", body, headers)).status == 200
        assert len(wire.ask(sent).body) > size
    before = memory.memory_info().rss
    for way in ("whole", "in pieces"):
        with Wire(process.base_url) as slow:
            slow.send(*pieces(sent, way))
            assert slow.socket.recv(1)
            until(lambda: memory.memory_info().rss - before < 1.3 * size, 5, f"more is held of one that came {way}")
    with Wire(process.base_url) as wire:
        assert wire.ask(request("/api/delete", json_body({"keys": keys}), headers)).status == 200


def assert_live(process: ApiProcess) -> None:
    with Wire(process.base_url) as wire:
        assert wire.ask(LIVE).status == 200


@WAYS
def test_a_request_under_way_when_the_process_is_to_end_is_answered_and_the_last_of_its_connection(
    new_api: NewApi, token: str, fresh_key: FreshKey, paused_workers: Pause, way: str
) -> None:
    # Longer than a client here waits for the end of its connection.
    process = new_api(TARANTKV_DRAIN_TIMEOUT_S="40")
    key = fresh_key()
    headers = {"Authorization": token}
    with Wire(process.base_url) as idle, Wire(process.base_url) as wire:
        for each in (idle, wire):
            assert each.ask(request("/api/read", READ, headers)).header(b"connection") is None
        with paused_workers():
            wire.send(*pieces(request("/api/write", json_body({"data": {key: 1}}), headers), way))
            wire.wait_until_read()
            process.signal(signal.SIGTERM)
            until(lambda: not accepts(process), 10, "it goes on accepting")
            # Whoever has not noticed yet is answered too.
            idle.send(*pieces(request("/api/read", json_body({"keys": [key]}), headers), way))
            idle.wait_until_read()
        for each in (idle, wire):
            answer = each.answer()
            assert (answer.status, answer.header(b"connection")) == (200, b"close")
            assert each.is_closed()
    assert process.ended() == -signal.SIGTERM


def accepts(process: ApiProcess) -> bool:
    """Whether the api takes new connections."""
    try:
        with Wire(process.base_url):
            return True
    except ConnectionRefusedError:
        return False


def test_a_request_that_takes_longer_than_the_process_may_to_end_is_given_up(
    new_api: NewApi, token: str, fresh_key: FreshKey, paused_workers: Pause
) -> None:
    process = new_api(TARANTKV_DRAIN_TIMEOUT_S="1", TARANTKV_REQUEST_TIMEOUT_S="30")
    with Wire(process.base_url) as wire:
        headers = {"Authorization": token}
        assert wire.ask(request("/api/read", READ, headers)).status == 200
        with paused_workers():
            wire.send(request("/api/write", json_body({"data": {fresh_key(): 1}}), headers))
            wire.wait_until_read()
            process.signal(signal.SIGTERM)
            assert wire.is_closed()
            assert process.ended() == -signal.SIGTERM
    assert "Traceback" not in process.log()
