"""All connections of a process: their limit, which one is closed to make room, and when their waits end."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from enum import Enum
from math import inf
from typing import Protocol

from api.http.response import Renderer
from api.server.arrivals import Arrivals
from protocol.settings import HttpSettings

_log = logging.getLogger(__name__)

TICK_S = 0.25
"""How often waits are checked."""

AGAIN_S = 10.0
"""If a connection could not be closed, the process tries again after this time."""

RESERVED_FILES = 64
"""File descriptors that clients cannot use: for Redis, the listening socket and logs."""


def raise_file_limit(max_connections: int) -> int:
    """Raise the limit of file descriptors as far as allowed; returns how many connections that allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = max_connections if soft == resource.RLIM_INFINITY else min(max_connections, soft - RESERVED_FILES)
    if allowed < max_connections:
        _log.warning("the limit of open files is too low", extra={"allowed": allowed, "descriptors": soft})
    return allowed


class Phase(Enum):
    """What a connection waits for."""

    HANDSHAKE = "the TLS handshake"
    IDLE = "the first byte of a request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "the turn of a request, or its answer"
    LINGER = "the client's end of the connection, after the last answer"

    # Python computes the hash of an enumeration from its name, and this one is needed several times a request.
    __hash__ = object.__hash__


KEEP_ALIVE_S = 75.0
"""How long an idle connection is kept: longer than load balancers usually keep theirs."""

LINGER_S = 1.0
"""How long a connection without a request stays open when the process ends: longer than an active client pauses. It is
also the time for which, after the last answer, the bytes that a client still sends are read and dropped: if a socket is
closed while bytes arrive, the client may lose the answer."""


class Waiting(Protocol):
    """A connection and its waits. The times are the loop's; infinity: it does not wait."""

    phase_ends: float
    stall_ends: float

    def end_wait(self, now: float) -> None:
        """End the wait whose time has passed."""

    def make_room(self) -> None:
        """Close the connection, which waits for a request."""


class Connections:
    """The connections of one process. `idle` are those that wait for a request, beginning with the one that waits
    longest.
    """

    def __init__(self, settings: HttpSettings, max_connections: int, renderer: Renderer) -> None:
        self._max_connections = max_connections
        self._renderer = renderer
        self._all: set[Waiting] = set()
        self._loop = asyncio.get_running_loop()
        self.idle: dict[Waiting, None] = {}
        self.limits = {
            Phase.HANDSHAKE: settings.head_timeout_s,
            Phase.IDLE: KEEP_ALIVE_S,
            Phase.HEAD: settings.head_timeout_s,
            Phase.BODY: settings.body_timeout_s,
            Phase.ANSWER: inf,
            Phase.LINGER: LINGER_S,
        }
        """Seconds after which each phase ends. A request's own deadline ends the wait for its answer."""
        self.send_timeout_s = settings.send_timeout_s
        self.arrivals = Arrivals(self._loop.time())
        self._tick()

    def add(self, connection: Waiting) -> bool:
        """Count a new connection. False: the limit is reached, and no connection is idle."""
        if len(self._all) >= self._max_connections:
            if not self.idle:
                return False
            next(iter(self.idle)).make_room()
        self._all.add(connection)
        self.arrivals.connected()
        return True

    def remove(self, connection: Waiting) -> None:
        """Stop counting a connection."""
        self._all.discard(connection)
        self.idle.pop(connection, None)

    def _tick(self) -> None:
        self._loop.call_later(TICK_S, self._tick)
        now = self._loop.time()
        self.arrivals.tick(now)
        self._renderer.set_date(time.time())
        over = [each for each in self._all if each.phase_ends <= now or each.stall_ends <= now]
        for connection in over:
            try:
                connection.end_wait(now)
            except Exception as error:  # noqa: BLE001 - the waits of other connections must end, too
                _log.error("a connection's wait could not be ended", exc_info=error)
                connection.phase_ends = connection.stall_ends = now + AGAIN_S
