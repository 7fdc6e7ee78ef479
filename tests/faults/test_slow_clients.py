"""Clients that are slow, by mistake or on purpose, or that only hold connections, must not affect other clients."""

import asyncio
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest

from tests.contract.sending import wait_until_read
from tests.contract.unread import unread_bytes
from tests.faults.overloaded import (
    ANSWERING_BYTES,
    HEAD_TIMEOUT_S,
    SLOW_S,
    client,
    closed_within,
    connect,
    head,
    wait_until,
    works,
)
from tests.integration.processes import ApiProcess


def test_clients_with_endless_heads_are_disconnected_and_others_are_served(api: ApiProcess, token: str) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(api)) for _ in range(100)]
        began = time.monotonic()
        for connection in slow:
            connection.sendall(b"POST /api/write HTTP/1.1\r\nHost: x\r\nX-Slow: ")

        async def scenario() -> None:
            async with client(api, token) as http:
                assert await works(http, 5) < SLOW_S

        asyncio.run(scenario())
        while time.monotonic() - began < HEAD_TIMEOUT_S / 2:
            for connection in slow:
                connection.sendall(b"x")
        assert closed_within(slow, HEAD_TIMEOUT_S + 5)


def test_a_client_with_endless_fields_is_disconnected(api: ApiProcess) -> None:
    with connect(api) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        connection.settimeout(0.02)
        end = time.monotonic() + HEAD_TIMEOUT_S + 5
        while True:
            assert time.monotonic() < end, "still open"
            try:
                connection.sendall(b"X: y\r\n")
                if not connection.recv(100):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break


def test_the_size_of_a_head_is_limited(api: ApiProcess) -> None:
    with connect(api) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):  # noqa: PT012 - which of the two notices first is chance
            for _ in range(10_000):
                connection.sendall(b"X-Much: " + b"x" * 1000 + b"\r\n")
            connection.recv(1)
            raise ConnectionError


def test_bodies_that_come_byte_by_byte_time_out_and_other_clients_are_served(api: ApiProcess, token: str) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(api)) for _ in range(100)]
        for connection in slow:
            connection.sendall(head(token, 1000) + b"{")

        async def scenario() -> None:
            async with client(api, token) as http:
                assert await works(http, 5) < SLOW_S

        asyncio.run(scenario())
        unanswered, end = set(slow), time.monotonic() + 10
        while unanswered:
            assert time.monotonic() < end, f"{len(unanswered)} of them still may go on"
            answered, _, _ = select.select(list(unanswered), [], [], 0.05)
            for connection in answered:
                assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
            unanswered.difference_update(answered)
            for connection in unanswered:
                connection.sendall(b" ")


LARGE_KEYS = [f"large:{number}" for number in range(16)]
"""Of 500 kB each."""

GREEDY = ("one whole request", "a body after its head", "many requests at once", "one request after the other")


def ask_for_much(connection: socket.socket, token: str, way: str) -> None:
    """Ask for 8 MB, once or repeatedly, and read nothing of the answers."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    if way == "one request after the other":
        ask_for_little_again_and_again(connection, token)
        return
    body = b'{"keys": [%s]}' % b",".join(b'"%s"' % key.encode() for key in LARGE_KEYS)
    first = head(token, len(body), "/api/read")
    if way == "a body after its head":
        connection.sendall(first)
        wait_until_read(connection)
        connection.sendall(body)
    else:
        connection.sendall((first + body) * (50 if way == "many requests at once" else 1))


def ask_for_little_again_and_again(connection: socket.socket, token: str) -> None:
    """Send complete requests without reading the answers, each when the api has read the previous one, up to 30 MB."""
    body = b'{"keys": ["small"]}'
    for _ in range(500):
        try:
            connection.sendall(head(token, len(body), "/api/read") + body)
            wait_until(lambda: not unread_bytes(connection), 0.05, "the api does not read it")
        except (AssertionError, OSError):
            break


@pytest.fixture(scope="module")
def large_values(api: ApiProcess, token: str) -> None:
    value = "x" * 500_000
    with httpx.Client(base_url=api.base_url, headers={"Authorization": token}, timeout=20, trust_env=False) as http:
        for key in LARGE_KEYS:
            assert http.post("/api/write", json={"data": {key: value}}).status_code == 200
        assert http.post("/api/write", json={"data": {"small": value[:60_000]}}).status_code == 200


@pytest.mark.usefixtures("large_values")
@pytest.mark.parametrize("way", GREEDY)
def test_a_client_that_does_not_read_its_answers_is_disconnected(api: ApiProcess, token: str, way: str) -> None:
    with connect(api) as connection:
        ask_for_much(connection, token, way)
        process = psutil.Process(api.pid)

        def open_here() -> bool:
            port = connection.getsockname()[1]
            there = (other.raddr for other in process.net_connections("tcp"))
            return any(address.port == port for address in there if len(address))

        wait_until(open_here, 5, "not connected")
        wait_until(lambda: not open_here(), 10, "still open")


@pytest.mark.usefixtures("large_values")
@pytest.mark.parametrize("way", GREEDY)
def test_unread_answers_take_bounded_memory_and_other_clients_can_read(
    api: ApiProcess, token: str, modest_token: str, way: str
) -> None:
    """Clients ask for 8 MB each and read nothing, until they are disconnected."""
    process = psutil.Process(api.pid)
    before = process.memory_info().rss
    most = 0
    with ExitStack() as stack:
        for _ in range(15):
            ask_for_much(stack.enter_context(connect(api)), token, way)

        async def scenario() -> None:
            nonlocal most
            async with client(api, modest_token) as modest:
                for _ in range(5):
                    assert await works(modest, 2) < SLOW_S
                    most = max(most, process.memory_info().rss)

        asyncio.run(scenario())
    assert most - before < 5 * ANSWERING_BYTES


def test_idle_connections_beyond_the_limit_are_closed_and_other_clients_are_served(api: ApiProcess, token: str) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(api)) for _ in range(1000)]

        async def scenario() -> None:
            async with client(api, token) as http:
                assert await works(http, 5) < SLOW_S

        asyncio.run(scenario())
        assert closed_within(idle[:700], 5)
        idle[-1].sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        idle[-1].settimeout(5)
        assert idle[-1].recv(65536).startswith(b"HTTP/1.1 200 ")


@contextmanager
def busy_connection(api: ApiProcess, token: str) -> Iterator[None]:
    """A connection whose body the api awaits; repeated while connections of another test still take the room."""
    end = time.monotonic() + 10
    while True:
        with connect(api) as connection:
            connection.settimeout(5)
            connection.sendall(head(token, 10)[:-2] + b"Expect: 100-continue\r\n\r\n")
            if connection.recv(100).startswith(b"HTTP/1.1 100 "):
                yield
                return
        assert time.monotonic() < end


def test_if_no_connection_is_idle_a_new_one_is_refused(api: ApiProcess, token: str) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(busy_connection(api, token))
        late = stack.enter_context(connect(api))
        late.settimeout(5)
        answer = late.recv(65536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"connection: close" in answer
