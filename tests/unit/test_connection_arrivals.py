"""When a request arrived on its connection: a deadline counts from there, and a late request is not started."""

import asyncio

from protocol.settings import BatchSettings, HttpSettings
from tests.unit.http_corpus import request
from tests.unit.memory_server import Server, answers, run, turns

HTTP = HttpSettings(head_timeout_s=10, body_timeout_s=30, send_timeout_s=20, max_connections=3)
WHOLE = request()


def test_a_request_that_arrived_too_long_ago_is_not_started() -> None:
    async def scenario() -> None:
        server = Server(HTTP, BatchSettings(request_timeout_s=5))
        connection, transport = server.connect()
        loop = asyncio.get_running_loop()
        arrivals = server.connections.arrivals
        # The loop turned last six seconds ago.
        arrivals.ticked = loop.time() - 6
        connection.data_received(WHOLE)
        await turns(6)
        statuses = [status for status, _, _ in answers(bytes(transport.sent))]
        assert (statuses, server.endpoint.asked) == ([503], [])
        # Bytes that are read after that arrived in time.
        connection.data_received(WHOLE)
        await turns(6)
        assert [status for status, _, _ in answers(bytes(transport.sent))] == [503, 200]

    run(scenario)


def test_a_request_knows_when_it_arrived() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        connection, _ = server.connect()
        arrivals = server.connections.arrivals
        arrivals.ticked = began = asyncio.get_running_loop().time() - 3
        connection.data_received(WHOLE)
        await turns(6)
        (asked,) = server.endpoint.requests
        assert asked.arrived == began

    run(scenario)
