"""What the door reads over and refuses, and what it leaves to the usual way."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest

from api.admission import Admission
from api.door import Door
from api.lifecycle import Lifecycle
from protocol.settings import HttpSettings

LATE_S = 1.0


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 10))


def door() -> Door:
    gate = Admission(["s1"], max_chunks=8, max_bytes=1000)
    gate.admit([("s1", 1)] * 8)
    return Door(Lifecycle(), gate, lambda header: header.decode(), HttpSettings(), 0.1)


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
        answer = shut.turned_away(request("Authorization: greedy"), now)
        assert answer is not None
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
        answer = shut.turned_away(request("X-Request-Id: " + name, "Authorization: greedy"), now)
        assert answer is not None
        head, _, body = answer.partition(b"\r\n\r\n")
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


@pytest.mark.parametrize(
    "data",
    [
        WHOLE[:-1],
        WHOLE[:20],
        WHOLE + WHOLE,
        WHOLE + b"POST /api/wri",
        request("Authorization: greedy", path="/health/live", method="GET"),
        request("Authorization: greedy", "Connection: close"),
        request("Authorization: greedy", "Content-Length: 3"),
        request("Authorization: greedy", "Transfer-Encoding: chunked"),
        b"POST /api/ nonsense\r\n\r\n",
    ],
    ids=["body", "head", "two", "more", "health", "close", "two lengths", "length and chunks", "no http"],
)
def test_what_is_not_just_one_whole_request_goes_the_usual_way_and_leaves_no_trace(data: bytes) -> None:
    async def scenario() -> None:
        shut = door()
        now = fill(shut)
        assert shut.turned_away(data, now) is None
        assert shut.turned_away(WHOLE, now) is not None

    run(scenario)
