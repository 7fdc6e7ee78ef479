"""The answers to requests of a user whose backlog is too long, however the requests arrive."""

import asyncio
from collections.abc import Callable, Sequence

import orjson
import pytest

from api.http.endpoint import problem_answer
from api.http.problems import Kind, Problem
from api.http.rejection import LONGEST_WAIT_S, Rejections, rejection
from api.http.response import Renderer
from protocol.settings import BatchSettings, HttpSettings
from tests.unit.http_corpus import BODY, END, ONE, chunked, request
from tests.unit.memory_server import MemoryTransport, Server, answers, run, turns

WHOLE = request()
HEAD = WHOLE.removesuffix(BODY)


def statuses(transport: MemoryTransport) -> list[int]:
    return [status for status, _, _ in answers(bytes(transport.sent))]


def under(scenario: Callable[[Server], object]) -> None:
    """Run a scenario with a server on which alice's backlog is too long."""

    async def whole() -> None:
        server = Server(HttpSettings(max_connections=3), BatchSettings(max_body_bytes=4096, max_wait_s=0.1))
        server.admission.admit([("s1", 1)] * 8)
        server.gate.enter("alice", 1, lambda: None, lambda: None)
        began = asyncio.get_running_loop().time()
        while not server.gate.full("alice", asyncio.get_running_loop().time()):
            assert asyncio.get_running_loop().time() < began + 5
            await asyncio.sleep(0.01)
        scenario(server)
        await turns(12)
        assert not server.endpoint.asked

    run(whole)


@pytest.mark.parametrize("request_id", [b"0123456789ab-1f", b"request-id", b'a"b', b"\\", b"~" * 128, b"%s%b"])
def test_the_answer_made_in_advance_has_the_form_of_every_problem_document(request_id: bytes) -> None:
    renderer = Renderer()
    expected = []
    for wait_s in range(1, LONGEST_WAIT_S + 1):
        problem = Problem(Kind.OVERLOADED, rejection().detail, headers={"Retry-After": str(wait_s)})
        expected.append(renderer.render(problem_answer(problem, request_id), request_id, close=False)[0])
    rejections = Rejections(renderer)
    for unix_s in (0, 1):
        renderer.set_date(unix_s)
        date = b"date: %b\r\n" % renderer.date
        dated = {bytes(each).replace(b"date: \r\n", date) for each in expected}
        assert {rejections.render(request_id) for _ in range(300)} == dated


@pytest.mark.parametrize(
    ("pieces", "closes"),
    [
        ([WHOLE], False),
        ([HEAD, BODY], False),
        ([HEAD[:30], HEAD[30:], BODY[:1], BODY[1:]], False),
        ([chunked(ONE, END)], False),
        ([WHOLE.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost")], True),
        ([WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0")], True),
        ([WHOLE.replace(b"\r\nHost", b"\r\nExpect: 100-continue\r\nHost")], True),
    ],
    ids=["at once", "body later", "in pieces", "chunked", "connection: close", "HTTP/1.0", "expects 100"],
)
def test_rejected_requests_get_the_same_answer_however_they_arrive(pieces: Sequence[bytes], closes: bool) -> None:  # noqa: FBT001
    def scenario(server: Server) -> None:
        connection, transport = server.connect()
        for piece in pieces:
            connection.data_received(piece)
        assert transport.closed == closes
        assert server.budget.held == 0
        ((status, _, body),) = answers(bytes(transport.sent))
        assert (status, orjson.loads(body)["type"]) == (503, Kind.OVERLOADED.urn)
        assert server.gate.take_rejected() == {"/api/write": 1}
        assert server.metrics.counted == [], "it is counted only with the rejections"

    under(scenario)


def test_pipelined_requests_are_answered_one_by_one_and_other_users_are_not_rejected() -> None:
    def scenario(server: Server) -> None:
        connection, transport = server.connect()
        connection.data_received(WHOLE * 2 + WHOLE.replace(b"alice", b"forged") + WHOLE + request("/none"))
        assert statuses(transport) == [503, 503, 401, 503, 404]
        connection.data_received(WHOLE.replace(b"alice", b"bob"))
        assert server.gate.waiting == 2, "another user waits for a turn"

    under(scenario)


def test_a_body_that_is_too_large_is_refused_for_its_size() -> None:
    def scenario(server: Server) -> None:
        connection, transport = server.connect()
        connection.data_received(request(body=b"x" * 5000))
        assert statuses(transport) == [413]

    under(scenario)


def test_a_request_id_of_the_client_is_used() -> None:
    def scenario(server: Server) -> None:
        connection, transport = server.connect()
        connection.data_received(WHOLE.replace(b"\r\nHost", b"\r\nX-Request-Id: mine\r\nHost"))
        assert b"x-request-id: mine\r\n" in transport.sent
        assert b'"request_id":"mine"' in transport.sent

    under(scenario)


def test_a_connection_whose_request_was_rejected_is_not_the_one_that_is_idle_for_longest() -> None:
    def scenario(server: Server) -> None:
        first, second, third = (server.connect() for _ in range(3))
        first[0].data_received(WHOLE)
        server.connect()
        assert [transport.closed for _, transport in (first, second, third)] == [False, True, False]

    under(scenario)
