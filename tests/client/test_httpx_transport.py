"""The transport for proxies: how long an answer may take, and how large it may be."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
from tarantkv.transport import with_httpx
from tarantkv.transport.with_httpx import AsyncHttpxTransport, HttpxTransport
from tarantkv.wire import Request, TransportError

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n"


@pytest.fixture
def slow_url() -> Iterator[str]:
    """A server that sends the 40 bytes of its answer one by one, each well within the timeout of one read."""
    over = threading.Event()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(HEAD)
            for _ in range(40):
                over.wait(0.05)
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join(10)


def test_the_wait_for_an_answer_that_comes_byte_by_byte_is_bounded(slow_url: str) -> None:
    transport = HttpxTransport(slow_url)
    with pytest.raises(TransportError, match="took too long"):
        transport.send(Request("GET", "/", {}, timeout=0.5))
    transport.close()


def test_an_endless_answer_is_not_collected_in_memory(slow_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_httpx, "MAX_ANSWER_BYTES", 4)
    transport = HttpxTransport(slow_url)
    with pytest.raises(TransportError, match="larger than 4 bytes"):
        transport.send(Request("GET", "/", {}, timeout=10.0))
    transport.close()


def test_an_endless_answer_is_not_collected_in_memory_with_asyncio(
    slow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(with_httpx, "MAX_ANSWER_BYTES", 4)

    async def send() -> None:
        transport = AsyncHttpxTransport(slow_url)
        with pytest.raises(TransportError, match="larger than 4 bytes"):
            await transport.send(Request("GET", "/", {}, timeout=10.0))
        await transport.close()

    asyncio.run(send())
