"""All connections of a process: how many there may be, which one makes room, and when the waits of each end."""

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
"""How often it is looked whether waits are over."""

AGAIN_S = 10.0
"""After which a connection that could not be ended is ended again."""

RESERVED_FILES = 64
"""Descriptors that are not for clients: Redis, the listening socket, logs."""


def raise_file_limit(max_connections: int) -> int:
    """Let the process have as many descriptors as it may; returns how many connections that allows."""
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

    # That of enumerations is made of the name, by Python, several times a request.
    __hash__ = object.__hash__


KEEP_ALIVE_S = 75.0
"""How long an idle connection is kept; longer than load balancers usually keep theirs."""

LINGER_S = 1.0
"""How long a connection without a request stays open when the process ends: longer than an active client pauses. Also,
how long after the last answer it is read and dropped what a client still sends: a socket that is closed while bytes
come takes from the client what it was answered."""


def phase_limits(settings: HttpSettings) -> dict[Phase, float]:
    """Seconds after which each phase ends. A request's own deadline ends the wait for its answer."""
    return {
        Phase.HANDSHAKE: settings.head_timeout_s,
        Phase.IDLE: KEEP_ALIVE_S,
        Phase.HEAD: settings.head_timeout_s,
        Phase.BODY: settings.body_timeout_s,
        Phase.ANSWER: inf,
        Phase.LINGER: LINGER_S,
    }


class Waiting(Protocol):
    """A connection, as far as its waits go. The times are the loop's; infinity: it does not wait."""

    phase_ends: float
    stall_ends: float

    def end_wait(self, now: float) -> None:
        """End the wait whose time is over."""

    def make_room(self) -> None:
        """End a connection that waits for a request."""


class Connections:
    """The connections of one process. `idle` are those that wait for a request, the longest first."""

    def __init__(self, settings: HttpSettings, max_connections: int, renderer: Renderer) -> None:
        self._max_connections = max_connections
        self._renderer = renderer
        self._all: set[Waiting] = set()
        self._loop = asyncio.get_running_loop()
        self.idle: dict[Waiting, None] = {}
        self.limits = phase_limits(settings)
        self.send_timeout_s = settings.send_timeout_s
        self.arrivals = Arrivals(self._loop.time())
        self._tick()

    def add(self, connection: Waiting) -> bool:
        """Count a connection in; False: there are too many, and none of them is idle."""
        if len(self._all) >= self._max_connections:
            if not self.idle:
                return False
            next(iter(self.idle)).make_room()
        self._all.add(connection)
        self.arrivals.connected()
        return True

    def remove(self, connection: Waiting) -> None:
        """Count a connection out."""
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
            except Exception as error:  # noqa: BLE001 - the others' waits are to end, too
                _log.error("a connection's wait could not be ended", exc_info=error)
                connection.phase_ends = connection.stall_ends = now + AGAIN_S
