"""At its end a process that has its port alone still serves the clients that have connected by then."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import uvicorn

LOOKS = 50
"""The process looks at the queue this many times at most: clients that never stop connecting cannot delay its end."""


class Server(uvicorn.Server):
    """Uvicorn's server. At its end it accepts the connections that wait in the queue of its listening socket.

    The kernel has accepted these clients and would reset their connections when the socket is closed. They may have
    sent a request already.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Do as uvicorn does, after the waiting connections are accepted."""
        loop = asyncio.get_running_loop()
        for _ in range(LOOKS):
            waiting = list(self._waiting())
            if not waiting:
                break
            for connected in waiting:
                await loop.connect_accepted_socket(self._protocol, connected)
        # Directly after the last look at the queue: by now each request comes on a new connection.
        for server in self.servers:
            server.close()
        await super().shutdown(sockets)

    def _waiting(self) -> Iterator[socket.socket]:
        """The connections that wait to be accepted."""
        for listening in (each for server in self.servers for each in server.sockets):
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.setblocking(False)
                while True:
                    try:
                        yield same.accept()[0]
                    except OSError:
                        break

    def _protocol(self) -> asyncio.Protocol:
        protocol = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
