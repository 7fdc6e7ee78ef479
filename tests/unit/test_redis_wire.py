"""`protocol.redis_wire` against a server with scripted answers; all other suites use the real Redis."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import redis

from protocol import redis_wire as wire
from protocol.redis_wire import AsyncWire, Command, Wire, check
from protocol.settings import RedisSettings

READ = object()
HOLD = object()
LATER = object()
GREETING = (READ, b"+OK\r\n+OK\r\n")

Steps = Sequence[object]
Run = Callable[..., list[list[Any]]]


class Server:
    """Accepts connections one after the other.

    The steps of each: read once, send these bytes, hold it open, or wait as a slow link would.
    """

    def __init__(self, *connections: Steps) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(10)
        self._connections = connections
        self._released = threading.Event()
        self.holding = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.received: list[bytes] = []
        self.settings = RedisSettings(
            redis_url=f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0", redis_password="secret"
        )
        self._thread.start()

    def _serve(self) -> None:
        for steps in self._connections:
            connection, _ = self._listening.accept()
            with connection:
                connection.settimeout(10)
                for step in steps:
                    if step is READ:
                        self.received.append(connection.recv(65536))
                    elif step is LATER:
                        self._released.wait(0.06)
                    elif step is HOLD:
                        self.holding.set()
                        self._released.wait(10)
                    else:
                        with suppress(ConnectionError):
                            connection.sendall(step)  # type: ignore[arg-type]

    def close(self) -> None:
        self._released.set()
        self._thread.join(10)
        self._listening.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*connections: Steps) -> Server:
        servers.append(Server(*connections))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def run_blocking(settings: RedisSettings, *turns: list[Command]) -> list[list[Any]]:
    connection = Wire(settings, name="test")
    try:
        return [connection.run(turn) for turn in turns]
    finally:
        connection.close()


def run_async(settings: RedisSettings, *turns: list[Command]) -> list[list[Any]]:
    async def run() -> list[list[Any]]:
        connection = AsyncWire(settings, name="test")
        try:
            return [await connection.run(turn) for turn in turns]
        finally:
            connection.close()

    return asyncio.run(run())


@pytest.fixture(params=[run_blocking, run_async])
def run(request: pytest.FixtureRequest) -> Run:
    chosen: Run = request.param
    return chosen


def identified(settings: RedisSettings, kind: type[Wire] | type[AsyncWire]) -> str:
    """The run id that a connection learns when it connects."""
    if kind is Wire:
        blocking = Wire(settings, name="test", identify=True)
        blocking.connect()
        blocking.close()
        return blocking.server

    async def run() -> str:
        connection = AsyncWire(settings, name="test", identify=True)
        await connection.run([("PING",)])
        connection.close()
        return connection.server

    return asyncio.run(run())


def info(text: bytes) -> bytes:
    return b"+OK\r\n+OK\r\n$%d\r\n%b\r\n" % (len(text), text)


KINDS = [Wire, AsyncWire]
UNKNOWN = [info(b"# Server\r\nrun_id:\r\n"), b"+OK\r\n+OK\r\n-NOPERM this user\r\n", b"+OK\r\n" * 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wire_learns_the_run_id_of_its_server(
    serve: Callable[..., Server], kind: type[Wire] | type[AsyncWire]
) -> None:
    told = info(b"# Server\r\nredis_version:7.0.15\r\nrun_id:%b\r\n" % (b"e" * 40))
    assert identified(serve((READ, told, READ, b"+PONG\r\n")).settings, kind) == "e" * 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reply", UNKNOWN)
def test_a_wire_that_cannot_learn_the_run_id_is_not_connected(
    serve: Callable[..., Server], kind: type[Wire] | type[AsyncWire], reply: bytes
) -> None:
    with pytest.raises(redis.RedisError):
        identified(serve((READ, reply, READ)).settings, kind)


def test_a_wire_logs_in_before_the_first_turn(serve: Callable[..., Server], run: Run) -> None:
    server = serve((*GREETING, READ, b":1\r\n"))
    assert run(server.settings, [("PING",)]) == [[1]]
    assert b"AUTH" in server.received[0]
    assert b"secret" in server.received[0]
    assert server.received[1] == b"*1\r\n$4\r\nPING\r\n"


def test_a_refused_login_is_an_error(serve: Callable[..., Server], run: Run) -> None:
    server = serve((READ, b"-WRONGPASS invalid username-password pair\r\n+OK\r\n", HOLD))
    with pytest.raises(redis.ResponseError, match="WRONGPASS"):
        run(server.settings, [("PING",)])


def test_replies_come_in_order_and_an_error_takes_its_place(serve: Callable[..., Server], run: Run) -> None:
    server = serve((*GREETING, READ, b":1\r\n-OOM command not allowed\r\n*2\r\n$1\r\na\r\n$-1\r\n"))
    ((first, second, third),) = run(server.settings, [("A",), ("B",), ("C",)])
    assert first == 1
    assert isinstance(second, redis.ResponseError)
    assert "OOM" in str(second)
    assert third == [b"a", None]
    with pytest.raises(redis.ResponseError, match="OOM"):
        check([first, second, third])


def test_replies_in_pieces_are_put_together(serve: Callable[..., Server], run: Run) -> None:
    server = serve((*GREETING, READ, b"$100000\r\n" + b"x" * 70_000, b"x" * 30_000, b"\r\n:", b"2\r\n"))
    assert run(server.settings, [("A",), ("B",)]) == [[b"x" * 100_000, 2]]


def test_all_turns_use_the_same_connection(serve: Callable[..., Server], run: Run) -> None:
    server = serve((*GREETING, READ, b":1\r\n", READ, b":2\r\n"))
    assert run(server.settings, [("A",)], [("B",)]) == [[1], [2]]


def test_a_connection_that_closes_is_an_error(serve: Callable[..., Server], run: Run) -> None:
    server = serve((*GREETING, READ, b"$5\r\nhe"))
    with pytest.raises(redis.ConnectionError):
        run(server.settings, [("A",)])


def test_bytes_that_are_not_a_reply_are_an_error(serve: Callable[..., Server], run: Run) -> None:
    server = serve((*GREETING, READ, b"HTTP/1.1 400 Bad Request\r\n\r\n", HOLD))
    with pytest.raises(redis.RedisError):
        run(server.settings, [("A",)])


@pytest.mark.parametrize("surplus", [b"-ERR unknown command '$4'\r\n", b":7\r\n:8\r\n", b"$3\r\n"])
def test_more_replies_than_commands_break_the_connection(
    serve: Callable[..., Server], run: Run, surplus: bytes
) -> None:
    server = serve((*GREETING, READ, b":1\r\n" + surplus, HOLD))
    with pytest.raises(redis.ConnectionError, match="more than it was asked"):
        run(server.settings, [("A",)])


def test_an_unexpected_reply_breaks_the_connection(serve: Callable[..., Server]) -> None:
    server = serve((*GREETING, READ, b":1\r\n", LATER, b":2\r\n", HOLD))

    async def late() -> None:
        connection = AsyncWire(server.settings, name="test")
        assert await connection.run([("A",)]) == [1]
        while not connection._closed:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        with pytest.raises(redis.ConnectionError, match="closed"):
            await connection.run([("B",)])

    asyncio.run(late())


def test_a_reply_that_does_not_come_in_time_is_an_error(
    serve: Callable[..., Server], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "COMMAND_TIMEOUT_S", 0.05)
    server = serve((*GREETING, READ, HOLD))
    with pytest.raises(redis.TimeoutError):
        run(server.settings, [("A",)])


def test_connecting_to_a_port_without_a_server_is_an_error(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(redis.ConnectionError, match="cannot connect"):
        run(RedisSettings(redis_url=f"redis://127.0.0.1:{port}/0", redis_password="secret"), [("A",)])


def test_a_blocking_wire_does_not_wait_if_it_sent_no_command(serve: Callable[..., Server]) -> None:
    connection = Wire(serve().settings, name="test")
    assert connection.run([]) == []


def test_a_blocking_wire_connects_again_after_a_failure(serve: Callable[..., Server]) -> None:
    server = serve((*GREETING, READ), (*GREETING, READ, b":2\r\n"))
    connection = Wire(server.settings, name="test")
    with pytest.raises(redis.ConnectionError):
        connection.run([("A",)])
    assert connection.run([("B",)]) == [2]
    connection.close()


def test_an_asyncio_wire_is_broken_after_its_turn_was_cancelled(serve: Callable[..., Server]) -> None:
    server = serve((*GREETING, READ, HOLD, b":1\r\n"))

    async def cancel() -> None:
        connection = AsyncWire(server.settings, name="test")
        turn = asyncio.create_task(connection.run([("A",)]))
        assert await asyncio.to_thread(server.holding.wait, 10)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        with pytest.raises(redis.ConnectionError, match="closed"):
            await connection.run([("B",)])

    asyncio.run(cancel())


def test_a_long_reply_may_take_longer_than_the_timeout_while_bytes_arrive(
    serve: Callable[..., Server], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "COMMAND_TIMEOUT_S", 0.3)
    pieces = [step for _ in range(8) for step in (LATER, b"x" * 10_000)]
    server = serve((*GREETING, READ, b"$80000\r\n", *pieces, b"\r\n"))
    assert run(server.settings, [("A",)]) == [[b"x" * 80_000]]


def test_the_wait_for_a_reply_that_comes_byte_by_byte_is_bounded(
    serve: Callable[..., Server], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "COMMAND_TIMEOUT_S", 0.1)
    trickle = [step for _ in range(20) for step in (LATER, b"x")]
    server = serve((*GREETING, READ, b"$20\r\n", *trickle, b"\r\n"))
    with pytest.raises(redis.TimeoutError):
        run(server.settings, [("A",)])
