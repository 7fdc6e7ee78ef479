"""What the door reads over and refuses, and what it leaves to the usual way."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest

from api.http.endpoint import LARGE_BODY
from api.lifecycle import Lifecycle
from api.overload.fair_queue import Turns
from api.overload.gate import Door
from api.overload.heads import MAX_KEPT
from api.overload.shard_limits import Admission
from protocol.settings import HttpSettings

LATE_S = 1.0


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 10))


def door() -> Door:
    gate = Admission(["s1"], max_chunks=8, max_bytes=1000)
    gate.admit([("s1", 1)] * 8)
    large = Turns(per_turn=1, max_wait_s=0.1)
    return Door(Lifecycle(), gate, lambda header: header.decode(), HttpSettings(), 0.1, large)


def request(*headers: str, path: str = "/api/write", body: str = "{}", method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


def fill(shut: Door, user: str = "greedy") -> float:
    """Let a user wait; returns a time at which that was for too long."""
    headers = [(b"authorization", user.encode())]
    assert shut.admit("/api/write", headers, lambda: None, lambda: None)
    return asyncio.get_running_loop().time() + LATE_S


def test_a_whole_request_of_a_user_who_waits_for_too_long_is_refused_with_all_that_a_client_needs() -> None:
    async def scenario() -> None:
        shut = door()
        now = fill(shut)
        refused = shut.turned_away(request("Authorization: greedy"), now)
        assert refused is not None
        answer, missing = refused
        assert missing == 0
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        assert fields[b"retry-after"] == b"1"
        assert fields[b"content-type"] == b"application/problem+json"
        assert fields[b"cache-control"] == b"no-store"
        assert int(fields[b"content-length"]) == len(body)
        document = orjson.loads(body)
        assert document["type"] == "urn:tarant-kv:problem:overloaded"
        assert document["request_id"].encode() == fields[b"x-request-id"]
        assert shut.refused() == {"/api/write": 1}
        assert shut.refused() == {}

    run(scenario)


@pytest.mark.parametrize("name", ["abc", 'a"b\\c', "x" * 128])
def test_a_refusal_takes_the_request_id_over(name: str) -> None:
    async def scenario() -> None:
        shut = door()
        now = fill(shut)
        refused = shut.turned_away(request("X-Request-Id: " + name, "Authorization: greedy"), now)
        assert refused is not None
        head, _, body = refused[0].partition(b"\r\n\r\n")
        assert b"x-request-id: " + name.encode() in head
        assert orjson.loads(body)["request_id"] == name
        assert b"content-length: %d\r\n" % len(body) in head

    run(scenario)


def test_whoever_waits_for_nothing_is_not_turned_away() -> None:
    async def scenario() -> None:
        shut = door()
        now = fill(shut)
        assert shut.turned_away(request("Authorization: modest"), now) is None
        assert shut.turned_away(request(), now) is None

    run(scenario)


WHOLE = request("Authorization: greedy")


@pytest.mark.parametrize("there", [0, 1, 99_999, 100_000])
def test_a_request_is_refused_before_all_of_its_body_has_come(there: int) -> None:
    async def scenario() -> None:
        shut = door()
        now = fill(shut)
        data = request("Authorization: greedy", body="x" * 100_000)
        refused = shut.turned_away(data[: len(data) - 100_000 + there], now)
        assert refused is not None
        assert refused[1] == 100_000 - there

    run(scenario)


def test_a_head_that_comes_again_stands_for_its_own_user_path_and_body() -> None:
    async def scenario() -> None:
        shut = door()
        now = fill(shut)
        for _ in range(2):
            assert shut.turned_away(request("Authorization: greedy", body="xy")[:-1], now) is not None
            assert shut.turned_away(request("Authorization: modest", body="xy")[:-1], now) is None
            refused = shut.turned_away(request("Authorization: greedy", path="/api/read", body="abc")[:-2], now)
            assert refused is not None
            assert refused[1] == 2
        assert shut.refused() == {"/api/write": 2, "/api/read": 2}

    run(scenario)


def test_heads_that_are_never_the_same_are_read_all_the_same() -> None:
    async def scenario() -> None:
        shut = door()
        now = fill(shut)
        for number in range(2 * MAX_KEPT):
            assert shut.turned_away(request("Authorization: greedy", f"X-Number: {number}"), now) is not None
            assert len(shut._heads) <= MAX_KEPT
        kept = len(shut._heads)
        for name in ("X-Request-Id", "Traceparent", "Idempotency-Key"):
            assert shut.turned_away(request("Authorization: greedy", f"{name}: 1"), now) is not None
        assert len(shut._heads) == kept, "what no other request has"

    run(scenario)


@pytest.mark.parametrize(("size", "refused"), [(LARGE_BODY, False), (LARGE_BODY + 1, True)])
def test_only_a_large_request_is_turned_away_for_a_long_queue_of_large_ones(size: int, *, refused: bool) -> None:
    async def scenario() -> None:
        gate = Admission(["s1"], max_chunks=8, max_bytes=1000)
        large = Turns(per_turn=1, max_wait_s=0.1, ready=lambda _: False)
        shut = Door(Lifecycle(), gate, lambda header: header.decode(), HttpSettings(), 0.1, large)
        assert large.enter("greedy", lambda: None, lambda: None)
        now = asyncio.get_running_loop().time() + LATE_S
        data = request("Authorization: greedy", body="x" * size)
        assert (shut.turned_away(data, now) is not None) == refused

    run(scenario)


@pytest.mark.parametrize(
    "data",
    [
        WHOLE[:20],
        WHOLE + WHOLE,
        WHOLE + b"POST /api/wri",
        request("Authorization: greedy", path="/health/live", method="GET"),
        request("Authorization: greedy", "Connection: close"),
        b"POST /api/read HTTP/1.1\r\nAuthorization: greedy\r\nConnection: close\r\n\r\n",
        b"POST /api/read HTTP/1.1\r\nAuthorization: greedy\r\nContent-Length: " + b"0" * 5000 + b"\r\n\r\n",
        b"POST /api/read HTTP/1.1\r\nAuthorization: greedy\r\nContent-Length: \r\n\r\n",
        request("Authorization: greedy", "Content-Length: 3"),
        request("Authorization: greedy", "Transfer-Encoding: chunked"),
        request("Authorization: greedy", "Expect: 100-continue"),
        request("Authorization: greedy", "Connection: upgrade", "Upgrade: websocket"),
        b"POST /api/ nonsense\r\n\r\n",
    ],
    ids=[
        "head",
        "two",
        "more",
        "health",
        "close",
        "close without a body",
        "a length of many zeros",
        "an empty length",
        "two lengths",
        "length and chunks",
        "expect",
        "upgrade",
        "no http",
    ],
)
def test_what_is_not_just_one_simple_request_goes_the_usual_way_and_leaves_no_trace(data: bytes) -> None:
    async def scenario() -> None:
        shut = door()
        now = fill(shut)
        assert shut.turned_away(data, now) is None
        assert shut.turned_away(WHOLE, now) is not None

    run(scenario)
