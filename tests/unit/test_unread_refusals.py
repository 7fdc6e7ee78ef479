"""A client that is refused and does not read that: what is kept for it is bounded, whoever it may be."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState

from api.lifecycle import Lifecycle
from api.overload.fair_queue import Turns
from api.overload.gate import Door
from api.overload.shard_limits import Admission
from api.server.connections import GuardedProtocol
from protocol.settings import HttpSettings

BUFFER_BYTES = 4096
REQUEST = b"POST /api/write HTTP/1.1\r\nHost: x\r\nAuthorization: greedy\r\nContent-Length: 2\r\n\r\n{}"
REQUESTS = 3000
"""Whose refusals are more than a megabyte."""


class Shut(Turns):
    """Turns in which everybody has waited for too long."""

    def free(self, now: float) -> bool:  # noqa: ARG002 - never
        return False

    def full(self, user: str | None, now: float, patience: int = 1) -> bool:  # noqa: ARG002 - always
        return True

    def refusing(self, now: float) -> bool:  # noqa: ARG002 - always
        return True


def shut_door() -> Door:
    large = Turns(per_turn=1, max_wait_s=0.1)
    door = Door(Lifecycle(), Admission(["s1"], max_chunks=8, max_bytes=1000), bytes.decode, HttpSettings(), 1.0, large)
    door.turns = Shut(per_turn=1, max_wait_s=1.0)
    return door


async def nobody(scope: object, receive: object, send: object) -> None:  # noqa: ARG001 - an application's arguments
    """Fail: no request gets this far."""
    raise AssertionError("started")


def listening() -> socket.socket:
    """A socket whose connections keep little in the kernel."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return listener


@asynccontextmanager
async def unread() -> AsyncIterator[tuple[socket.socket, ServerState]]:
    """A connection that is refused everything, and whose client does not read that."""
    loop = asyncio.get_running_loop()
    door = shut_door()
    config = uvicorn.Config(nobody, http=GuardedProtocol, interface="asgi3", lifespan="off", log_config=None)
    state = ServerState()
    server = await loop.create_server(lambda: GuardedProtocol(config, state, {"door": door}), sock=listening())
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    client.setblocking(False)
    try:
        await loop.sock_connect(client, server.sockets[0].getsockname())
        while not state.connections:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0)
        yield client, state
    finally:
        client.close()
        server.close()


@pytest.mark.parametrize("at_once", [1, 100], ids=["one by one", "pipelined"])
def test_who_does_not_read_refusals_is_sent_no_more_of_them(at_once: int) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with unread() as (client, server_side):
            with pytest.raises(ConnectionError):  # noqa: PT012 - one of the sends, nobody knows which
                for _ in range(REQUESTS // at_once):
                    await loop.sock_sendall(client, REQUEST * at_once)
                    # In which it is read.
                    await asyncio.sleep(0.001)
            assert not server_side.connections

    uvloop.run(asyncio.wait_for(scenario(), 30))


def test_that_is_noticed_among_requests_that_come_in_one_piece() -> None:
    async def scenario() -> None:
        async with unread() as (_, server_side):
            protocol = next(iter(server_side.connections))
            protocol.data_received(REQUEST * REQUESTS)
            assert protocol.transport.is_closing()

    uvloop.run(asyncio.wait_for(scenario(), 30))
