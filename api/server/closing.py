"""A process that has a port to itself serves, at its end, the clients that have connected by then."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import uvicorn

LOOKS = 50
"""The process looks at the queue so often at most: clients that never stop connecting do not keep it from its end."""


class Server(uvicorn.Server):
    """Uvicorn's server. At its end it takes the connections that wait in the queue of its listening socket.

    The kernel has answered these clients, and would reset them with the socket. They may have sent a request by then.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        loop = asyncio.get_running_loop()
        for _ in range(LOOKS):
            waiting = list(self._waiting())
            if not waiting:
                break
            for connected in waiting:
                await loop.connect_accepted_socket(self._protocol, connected)
        # At once after the last look at the queue: each request comes on a new connection by now.
        for server in self.servers:
            server.close()
        await super().shutdown(sockets)

    def _waiting(self) -> Iterator[socket.socket]:
        """The connections that nobody has taken."""
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
