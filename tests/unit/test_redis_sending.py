"""How long a blocking connection to Redis takes to send: as long as Redis reads fast enough."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from protocol import redis_wire as wire
from protocol.redis_wire import AsyncWire, Wire
from protocol.settings import RedisSettings

PIECE = 64 * 1024
LARGE = b"x" * (6 * 1024 * 1024)


class SlowReader:
    """A server that greets, then reads a piece at a time with a pause before each, and answers at the end."""

    def __init__(self, size: int, pause_s: float) -> None:
        self._listening = socket.socket()
        # A small buffer, so that the kernel holds few of the sent bytes.
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self._size, self._pause_s = size, pause_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.settings = RedisSettings(
            redis_url=f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0", redis_password="secret"
        )

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            connection.recv(PIECE)
            connection.sendall(b"+OK\r\n+OK\r\n")
            left = self._size
            while left > 0 and not self._stopped.wait(self._pause_s):
                received = len(connection.recv(PIECE))
                if not received:
                    return
                left -= received
            if left <= 0:
                connection.sendall(b"+OK\r\n")

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(10)
        self._listening.close()


@pytest.fixture
def reads() -> Iterator[Callable[[int, float], SlowReader]]:
    made: list[SlowReader] = []

    def start(size: int, pause_s: float) -> SlowReader:
        made.append(SlowReader(size, pause_s))
        return made[-1]

    yield start
    for server in made:
        server.close()


def test_a_large_reply_is_sent_over_a_link_that_needs_longer_than_redis_may_be_silent(
    monkeypatch: pytest.MonkeyPatch, reads: Callable[[int, float], SlowReader]
) -> None:
    """Otherwise a worker would send the same replies again and again, and do nothing else."""
    monkeypatch.setattr(wire, "COMMAND_TIMEOUT_S", 0.2)
    server = reads(len(LARGE), 0.005)
    connection = Wire(server.settings, name="test")
    connection.connect()
    try:
        assert connection.run([("XADD", "reply:1", "*", "f", LARGE)]) == [b"OK"]
    finally:
        connection.close()


def test_large_frames_are_sent_over_a_link_that_needs_longer_than_redis_may_be_silent(
    reads: Callable[[int, float], SlowReader],
) -> None:
    async def sent() -> list[object]:
        connection = AsyncWire(reads(len(LARGE), 0.005).settings, name="test", silent_s=0.2)
        try:
            return await connection.run([("XADD", "kv:s1", "*", "f", LARGE)])
        finally:
            connection.close()

    assert asyncio.run(sent()) == [b"OK"]


def test_a_server_that_stops_reading_is_given_up(
    monkeypatch: pytest.MonkeyPatch, reads: Callable[[int, float], SlowReader]
) -> None:
    monkeypatch.setattr(wire, "COMMAND_TIMEOUT_S", 0.2)
    connection = Wire(reads(len(LARGE), 60.0).settings, name="test")
    began = time.monotonic()
    with pytest.raises(redis.TimeoutError, match="did not answer within"):
        connection.run([("XADD", "reply:1", "*", "f", LARGE)])
    assert time.monotonic() - began < 30
