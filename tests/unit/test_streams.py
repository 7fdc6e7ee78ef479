"""Answers in pieces that the api's server sends: framing, back-pressure, and their ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.http.routes import Routes
from api.overload.memory_budgets import AnswerBudget
from api.server.connection import Connection
from protocol.settings import HttpSettings
from tests.unit.http_corpus import LIVE
from tests.unit.memory_server import OTHERS, MemoryTransport, Server, run, turns
from tests.unit.streams import PIECE, Streamer

GET = b"GET /api/write HTTP/1.1\r\nHost: x\r\nAuthorization: alice\r\n\r\n"
CHUNK = b"2000\r\n" + PIECE + b"\r\n"
END = b"0\r\n\r\n"
MANY = 40


class Served:
    """A client of a server with a stream."""

    def __init__(self, http: HttpSettings | None = None) -> None:
        self.server = Server(http or HttpSettings())
        self.streamer = Streamer(self.server.limits)
        self.budget = AnswerBudget(1 << 20)
        self.streamer.start(self.budget)
        self.server.serving.routes = Routes([self.streamer], self.server.serving.routes.rest, OTHERS)
        self.connection: Connection
        self.transport: MemoryTransport
        self.connection, self.transport = self.server.connect()

    @property
    def body(self) -> bytes:
        return bytes(self.transport.sent).partition(b"\r\n\r\n")[2]


def scenario(test: Callable[[Served], Awaitable[None]]) -> Callable[[], None]:
    def scenario_of_test() -> None:
        async def work() -> None:
            await test(Served())

        run(work)

    scenario_of_test.__name__ = test.__name__
    return scenario_of_test


@scenario
async def test_the_pieces_are_sent_as_chunks_and_the_connection_stays_open(served: Served) -> None:
    served.connection.data_received(GET + LIVE)
    await turns(MANY)
    head, _, rest = bytes(served.transport.sent).partition(b"\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked" in head
    assert b"\r\nx-more: 1" in head
    assert b"content-length" not in head
    assert rest.startswith(3 * CHUNK + END + b"HTTP/1.1 200 OK")
    assert served.server.metrics.counted == [("/api/write", 200), ("/health/live", 200)]
    assert served.budget.held == 0


@scenario
async def test_a_client_of_http_1_0_gets_the_pieces_until_the_connection_ends(served: Served) -> None:
    served.connection.data_received(GET.replace(b"1.1", b"1.0"))
    await turns(MANY)
    head = bytes(served.transport.sent).partition(b"\r\n\r\n")[0]
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert served.body == 3 * PIECE
    assert served.transport.closed


@scenario
async def test_no_piece_is_made_before_the_client_has_read_the_previous_ones(served: Served) -> None:
    served.streamer.pieces = None
    served.connection.pause_writing()
    served.connection.data_received(GET)
    await turns(MANY)
    # The connection was paused when the request came, so the server has not read it.
    assert served.streamer.made == 0
    served.connection.resume_writing()
    served.streamer.may_go_on.clear()
    await turns(MANY)
    served.connection.pause_writing()
    served.streamer.may_go_on.set()
    await turns(MANY)
    assert served.streamer.made == 1
    for made in (2, 3):
        served.connection.resume_writing()
        served.connection.pause_writing()
        await turns(MANY)
        assert served.streamer.made == made
    served.connection.connection_lost(None)
    await turns(MANY)
    assert served.streamer.ended.is_set()


@pytest.mark.parametrize("paused", [False, True])
def test_the_work_ends_at_once_when_the_client_disconnects(*, paused: bool) -> None:
    async def work() -> None:
        served = Served()
        served.streamer.pieces = None
        served.streamer.may_go_on.clear()
        served.connection.data_received(GET)
        await turns(MANY)
        if paused:
            served.connection.pause_writing()
            served.streamer.may_go_on.set()
            await turns(MANY)
        assert not served.streamer.ended.is_set()
        served.connection.connection_lost(None)
        await turns(MANY)
        assert served.streamer.ended.is_set()
        assert served.budget.held == 0
        assert served.server.metrics.counted == [("/api/write", 499)]
        assert not served.server.state.tasks

    run(work)


def test_a_client_that_stops_reading_is_ended_by_the_write_timeout() -> None:
    async def work() -> None:
        served = Served(HttpSettings(send_timeout_s=0.05))
        served.streamer.pieces = None
        served.streamer.may_go_on.clear()
        served.connection.data_received(GET)
        await turns(MANY)
        served.transport.unread = 1000
        served.connection.pause_writing()
        served.streamer.may_go_on.set()
        while not served.transport.aborted:  # noqa: ASYNC110 - the clock ends it
            await asyncio.sleep(0.01)
        served.connection.connection_lost(None)
        await turns(MANY)
        assert served.streamer.made == 1
        assert served.budget.held == 0

    run(work)


@scenario
async def test_an_answer_that_fails_has_no_last_chunk(served: Served) -> None:
    served.streamer.failure = RuntimeError("broken")
    served.connection.data_received(GET + LIVE)
    await turns(MANY)
    assert served.body == 3 * CHUNK
    assert served.transport.closed
    assert served.server.metrics.counted == [("/api/write", 500)]
    assert served.budget.held == 0


@scenario
async def test_when_the_process_ends_the_connection_closes_after_the_answer(served: Served) -> None:
    served.streamer.may_go_on.clear()
    served.connection.data_received(GET)
    await turns(MANY)
    served.server.lifecycle.draining = True
    served.connection.shutdown()
    served.streamer.may_go_on.set()
    await turns(MANY)
    assert served.body == 3 * CHUNK + END
    assert served.transport.closed


@scenario
async def test_a_task_that_is_cancelled_ends_the_stream_without_its_end(served: Served) -> None:
    served.streamer.may_go_on.clear()
    served.connection.data_received(GET)
    await turns(MANY)
    (task,) = served.server.state.tasks
    task.cancel()
    await turns(MANY)
    assert served.streamer.ended.is_set()
    assert served.transport.closed
    assert END not in served.body
    assert served.budget.held == 0


@scenario
async def test_other_methods_are_refused(served: Served) -> None:
    for method in (b"HEAD", b"POST", b"PUT"):
        served.connection.data_received(GET.replace(b"GET", method, 1))
        await turns(MANY)
        assert b"HTTP/1.1 405" in served.transport.sent
        assert b"allow: GET" in served.transport.sent
        served.transport.sent.clear()
    assert served.streamer.made == 0
