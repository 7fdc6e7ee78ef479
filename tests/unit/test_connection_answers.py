"""A connection whose client closes its sending side or disconnects before its answer, or whose endpoint raises."""

from typing import cast

import pytest

from api.http.chunked import LINES_AT_ONCE
from api.http.endpoint import Reply
from api.http.response import Answer
from protocol.settings import HttpSettings
from tests.unit.http_corpus import END, chunked, request
from tests.unit.memory_server import Server, answers, run, turns

HTTP = HttpSettings()
WHOLE = request()


def test_the_process_waits_for_a_request_whose_client_has_gone() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        held = server.endpoint.held = list[Reply]()
        connection, _ = server.connect()
        connection.data_received(WHOLE)
        connection.connection_lost(None)
        assert server.state.connections == {connection}
        held[0](Answer(200, b"application/json", b"{}"))
        assert server.state.connections == set()
        assert server.metrics.counted == [("/api/write", 200)]

    run(scenario)


def test_a_body_of_many_chunks_is_decoded_even_if_the_client_closes_its_sending_side() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        connection, transport = server.connect()
        connection.data_received(chunked(b"1\r\nx\r\n" * LINES_AT_ONCE, END))
        assert server.endpoint.asked == [], "the event loop runs other work before the last chunk"
        assert connection.eof_received()
        await turns(12)
        assert [status for status, _, _ in answers(bytes(transport.sent))] == [200]

    run(scenario)


def test_an_endpoint_that_raises_ends_only_its_own_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        server.endpoint.is_broken = True
        connection, transport = server.connect()
        connection.data_received(WHOLE)
        assert transport.closed
        assert server.budget.held == 0
        connection.connection_lost(None)
        assert (server.state.connections, server.state.tasks) == (set(), set()), "the process waits for no part of it"
        server.endpoint.is_broken = False
        other, answered = server.connect()
        other.data_received(WHOLE)
        await turns(6)
        assert [status for status, _, _ in answers(bytes(answered.sent))] == [200]

    run(scenario)
    assert "a request has crashed" in caplog.text


def test_an_answer_that_cannot_be_written_ends_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        server.endpoint.body = cast("bytes", "not bytes")
        connection, transport = server.connect()
        connection.data_received(WHOLE)
        await turns(6)
        assert (transport.closed, bytes(transport.sent)) == (True, b"")
        assert (server.budget.held, server.state.tasks) == (0, set())

    run(scenario)
    assert "a request has crashed" in caplog.text
