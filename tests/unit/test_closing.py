"""A process that ends still serves the clients that the kernel has connected but that it has not accepted yet."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvicorn
import uvloop

from api.server.closing import Server

CLIENTS = 3


class Greeter(asyncio.Protocol):
    """Answers requests, and is one of the connections whose end the server awaits."""

    def __init__(self, *, server_state: Any, **_: object) -> None:
        self._connections = server_state.connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"served " + data)
        self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Stays open until it gets a request."""


async def serve_and_end(make: Callable[[uvicorn.Config], uvicorn.Server]) -> list[bytes]:
    """The answers to clients that connect and send a request in the moment in which the server is told to end."""
    config = uvicorn.Config(lambda *_: None, host="127.0.0.1", port=0, http=Greeter, lifespan="off", log_config=None)
    config.load()
    server = make(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    address = server.servers[0].sockets[0].getsockname()
    clients = [socket.create_connection(address, timeout=5) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(b"me")
    await server.shutdown()
    try:
        return [client.recv(100) for client in clients]
    finally:
        for client in clients:
            client.close()


def test_clients_that_have_connected_before_the_end_are_served() -> None:
    assert uvloop.run(serve_and_end(Server)) == [b"served me"] * CLIENTS


def test_uvicorn_alone_does_not_serve_them() -> None:
    """If this test fails because uvicorn serves them, `Server` is not needed any more."""
    with pytest.raises(ConnectionResetError):
        uvloop.run(serve_and_end(uvicorn.Server))
