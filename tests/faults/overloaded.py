"""An api with small limits, and clients that send far more requests than it can serve, or few."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from tests.integration.processes import ApiProcess

PASSWORD = "correct horse battery staple"
SLOW_S = 4.0
"""Longer than any answer takes under load on a busy machine, where deadlines are 5 s."""

FLOOD_S = 6.0
PAUSE_S = 1.5
HEAD_TIMEOUT_S = 1.0
ANSWERING_BYTES = 32 * 1024 * 1024
SETTINGS = {
    "TARANTKV_MAX_ANSWERING_BYTES": str(ANSWERING_BYTES),
    "TARANTKV_MAX_ANSWER_BYTES": str(ANSWERING_BYTES),
    "TARANTKV_HEAD_TIMEOUT_S": str(HEAD_TIMEOUT_S),
    "TARANTKV_SEND_TIMEOUT_S": "1",
    "TARANTKV_BODY_TIMEOUT_S": "3",
    "TARANTKV_MAX_CONNECTIONS": "300",
    "TARANTKV_MAX_WAIT_S": "0.05",
}


def connect(api: ApiProcess) -> socket.socket:
    address = urlsplit(api.base_url)
    return socket.create_connection((address.hostname, address.port), 10)


def head(token: str, length: int, path: str = "/api/write") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: {length}\r\n\r\n".encode()


def client(api: ApiProcess, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=api.base_url,
        headers={"Authorization": token},
        timeout=20,
        trust_env=False,
        limits=httpx.Limits(max_connections=None),
    )


async def works(http: httpx.AsyncClient, calls: int) -> float:
    """Write and read one key after the other; returns the longest wait. Every call must succeed."""
    longest = 0.0
    for number in range(calls):
        for path, body in (
            ("write", {"data": {f"modest:{number}": number}}),
            ("read", {"keys": [f"modest:{number}"]}),
        ):
            began = time.monotonic()
            answer = await http.post(f"/api/{path}", json=body)
            longest = max(longest, time.monotonic() - began)
            assert answer.status_code == 200, answer.text
    return longest


def closed_within(connections: Sequence[socket.socket], seconds: float) -> bool:
    """Whether the other end closes every connection in time; it may send bytes before."""
    end = time.monotonic() + seconds
    for connection in connections:
        while True:
            connection.settimeout(max(0.01, end - time.monotonic()))
            try:
                if not connection.recv(65536):
                    break
            except ConnectionError:
                break
            except TimeoutError:
                return False
    return True


@asynccontextmanager
async def flood(http: httpx.AsyncClient, path: str, body: bytes, clients: int) -> AsyncIterator[list[httpx.Response]]:
    """Clients that repeat the same request as soon as they get an answer."""
    answers: list[httpx.Response] = []
    flowing = asyncio.Event()

    async def send() -> None:
        while True:
            answers.append(await http.post(path, content=body))
            if len(answers) >= 2 * clients:
                flowing.set()

    tasks = [asyncio.create_task(send()) for _ in range(clients)]
    waiting = asyncio.create_task(flowing.wait())
    try:
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        assert flowing.is_set()
        yield answers
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


def wait_until(condition: Callable[[], bool], seconds: float, failure: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, failure
        time.sleep(0.02)
