"""One connection: how each of its waits ends, which connection makes room, and which memory is released."""

import asyncio
from collections.abc import Iterable

import pytest

from api.overload.memory_budgets import AnswerBudget
from api.server.connection import MAX_AHEAD_BYTES
from api.server.connections import KEEP_ALIVE_S, LINGER_S
from protocol.settings import HttpSettings
from tests.unit.http_corpus import LIVE, chunked, request
from tests.unit.memory_server import MemoryTransport, Server, answers, run, turns

HTTP = HttpSettings(head_timeout_s=10, body_timeout_s=30, send_timeout_s=20, max_connections=3)
WHOLE = request()
HEAD, _, _ = WHOLE.partition(b"{")


def statuses(transport: MemoryTransport) -> list[int]:
    return [status for status, _, _ in answers(bytes(transport.sent))]


async def wait_is_over(server: Server, connection: object, after_s: float) -> None:
    """Let the wait of a connection end, and check that it takes this long."""
    now = asyncio.get_running_loop().time()
    ends = min(connection.phase_ends, connection.stall_ends)  # type: ignore[attr-defined]
    assert after_s - 1 < ends - now <= after_s
    connection.end_wait(ends)  # type: ignore[attr-defined]
    await turns(3)
    assert server.budget.held == 0


@pytest.mark.parametrize(
    ("sent", "after_s", "expected", "closed"),
    [
        ([], KEEP_ALIVE_S, [], True),
        ([WHOLE], KEEP_ALIVE_S, [200], True),
        ([b"\r\n"], KEEP_ALIVE_S, [], True),
        ([HEAD[:30]], HTTP.head_timeout_s, [408], False),
        ([WHOLE, HEAD[:30]], HTTP.head_timeout_s, [200, 408], False),
        ([WHOLE + HEAD[:30]], HTTP.head_timeout_s, [200, 408], False),
        ([HEAD], HTTP.body_timeout_s, [408], False),
        ([HEAD.replace(b"alice", b"forged")], HTTP.body_timeout_s, [401], True),
    ],
    ids=[
        "no request",
        "no second",
        "an empty line",
        "half a head",
        "half a second",
        "half a head behind",
        "no body",
        "refused",
    ],
)
def test_every_wait_for_a_client_ends(
    sent: Iterable[bytes], after_s: float, expected: list[int], *, closed: bool
) -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        connection, transport = server.connect()
        for piece in sent:
            connection.data_received(piece)
            await turns(6)
        await wait_is_over(server, connection, after_s)
        assert statuses(transport) == expected
        assert transport.closed is closed

    run(scenario)


def test_a_body_that_comes_too_late_is_dropped_and_the_connection_stays_open() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        connection, transport = server.connect()
        connection.data_received(HEAD)
        await wait_is_over(server, connection, HTTP.body_timeout_s)
        connection.data_received(WHOLE[len(HEAD) :] + LIVE)
        await turns(6)
        assert statuses(transport) == [408, 200]

    run(scenario)


def test_a_client_that_reads_nothing_is_cut_off_and_one_that_reads_slowly_is_not() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        answers_budget = AnswerBudget(10_000)
        share = answers_budget.share("alice")
        assert share.take(5000)
        server.endpoint.share = share
        connection, transport = server.connect()
        connection.data_received(WHOLE)
        transport.unread = 100_000
        connection.pause_writing()
        await turns(6)
        transport.unread -= 1
        await wait_is_over(server, connection, HTTP.send_timeout_s)
        assert not transport.closed
        assert answers_budget.held == 5000
        await wait_is_over(server, connection, HTTP.send_timeout_s)
        assert transport.aborted
        connection.connection_lost(None)
        assert answers_budget.held == 0

    run(scenario)


def test_requests_of_a_client_that_does_not_read_its_answers_wait() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        connection, transport = server.connect()
        connection.pause_writing()
        connection.data_received(WHOLE * 3)
        await turns(6)
        assert server.endpoint.asked == []
        was_reading = transport.reading
        connection.resume_writing()
        await turns(12)
        assert statuses(transport) == [200] * 3
        assert (was_reading, transport.reading) == (False, True)

    run(scenario)


def test_a_connection_that_is_to_close_ends_after_a_body_that_is_too_large() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        connection, transport = server.connect()
        coding = "Transfer-Encoding: chunked\r\nConnection: close"
        connection.data_received(chunked(b"1400\r\n", b"x" * 5000, coding=coding))
        assert statuses(transport) == [413]
        # The body is read and dropped, so that the client can read its answer.
        connection.data_received(b"x" * 120 + b"\r\n0\r\n\r\n" + WHOLE)
        await turns(6)
        assert (statuses(transport), server.endpoint.asked) == ([413], [])
        await wait_is_over(server, connection, LINGER_S)
        assert transport.closed

    run(scenario)


def test_an_idle_connection_keeps_no_bytes_of_its_last_request() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        connection, _ = server.connect()
        connection.data_received(WHOLE)
        await turns(6)
        assert connection._data == b""

    run(scenario)


def test_what_is_read_ahead_is_bounded() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        server.endpoint.may_answer.clear()
        connection, transport = server.connect()
        connection.data_received(WHOLE)
        await turns(3)
        connection.data_received(LIVE * (MAX_AHEAD_BYTES // len(LIVE) + 1))
        was_reading = transport.reading
        server.endpoint.may_answer.set()
        await turns(5000)
        assert (was_reading, transport.reading) == (False, True)
        assert set(statuses(transport)) == {200}

    run(scenario)


def test_the_connection_that_was_idle_for_longest_makes_room() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        first, second, third = (server.connect() for _ in range(3))
        first[0].data_received(LIVE)
        await turns(6)
        fourth = server.connect()
        assert [transport.closed for _, transport in (first, second, third, fourth)] == [False, True, False, False]

    run(scenario)


def test_if_no_connection_is_idle_a_further_one_is_rejected() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        for _ in range(3):
            server.connect()[0].data_received(HEAD)
        _, transport = server.connect()
        assert statuses(transport) == [503]
        assert transport.closed
        assert server.gate.take_rejected() == {"other": 1}

    run(scenario)


@pytest.mark.parametrize("held", ["before its body", "in the gate", "at its endpoint"])
def test_a_client_that_disconnects_leaves_nothing_behind(held: str) -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        if held == "in the gate":
            server.admission.admit([("s1", 1)] * 8)
        server.endpoint.may_answer.clear()
        connection, transport = server.connect()
        connection.data_received(HEAD + b"{" if held == "before its body" else WHOLE)
        await turns(3)
        assert server.budget.held > 0, "a waiting request counts"
        connection.connection_lost(ConnectionResetError())
        server.endpoint.may_answer.set()
        for _ in range(8):
            if held == "in the gate":
                server.admission.release("s1", 1)
        while server.gate.waiting or server.state.tasks:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.001)
        await turns(3)
        assert server.budget.held == 0
        assert len(server.endpoint.asked) == (held == "at its endpoint")
        assert transport.sent == b""
        assert not server.state.connections

    run(scenario)


def test_when_the_process_ends_each_connection_closes_after_its_answer() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        server.endpoint.may_answer.clear()
        (busy, busy_transport), (idle, idle_transport) = server.connect(), server.connect()
        busy.data_received(WHOLE)
        await turns(3)
        server.lifecycle.draining = True
        busy.shutdown()
        idle.shutdown()
        idle.data_received(LIVE)
        server.endpoint.may_answer.set()
        await turns(6)
        for transport in (busy_transport, idle_transport):
            assert b"connection: close" in transport.sent
            assert transport.closed
        late, _ = server.connect()
        assert late.phase_ends - asyncio.get_running_loop().time() <= LINGER_S

    run(scenario)


def test_100_continue_is_sent_when_the_body_will_be_read() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        connection, transport = server.connect()
        expecting = HEAD.replace(b"\r\nHost", b"\r\nExpect: 100-continue\r\nHost")
        connection.data_received(expecting)
        assert transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.data_received(WHOLE[len(HEAD) :])
        await turns(6)
        assert statuses(transport) == [200]
        refused, transport = server.connect()
        refused.data_received(expecting.replace(b"alice", b"forged"))
        assert statuses(transport) == [401]
        assert transport.at_end, "it is unknown whether the body follows"

    run(scenario)


def test_logins_and_users_do_not_wait_behind_forged_tokens() -> None:
    async def scenario() -> None:
        server = Server(HTTP)
        server.admission.admit([("s1", 1)] * 8)
        for _ in range(2):
            connection, transport = server.connect()
            connection.data_received(WHOLE.replace(b"alice", b"forged"))
            assert statuses(transport) == [401], "the request takes no place in any queue"
        assert server.gate.waiting == 0

    run(scenario)
