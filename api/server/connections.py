"""A client's connection, with an end to every wait: how long each may take, how many there may be, how they end.

uvicorn waits forever for a request's head and for a client that does not read its answer, and closes idle connections
at once when it stops, which fails the request that is just on its way there.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from functools import partial
from typing import Any, Protocol

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.overload.fair_queue import Call
from api.overload.gate import Door
from api.server.coalescing import CoalescingProtocol, CoalescingTransport

_log = logging.getLogger(__name__)

LINGER_S = 1.0
"""How long a connection without a request stays open when the process ends: longer than an active client pauses."""

REFUSALS_AT_ONCE = 64
"""Written together, where more are pipelined: only what is written shows whether the client reads."""

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
        _log.warning("fewer connections than the settings say", extra={"allowed": allowed, "descriptors": soft})
    return allowed


class Cycle(Protocol):
    """What is looked at of a request under way: uvicorn's own object for it, or another in its place."""

    scope: Any
    keep_alive: bool
    disconnected: bool
    response_started: bool
    response_complete: bool


MAX_HEAD_BYTES = 64 * 1024
"""Of a request line and its headers. The parser has no limit."""

_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class GuardedProtocol(CoalescingProtocol):
    """One connection of a client, with an end to every wait."""

    door: Door
    transport: CoalescingTransport  # type: ignore[assignment]  # what uvicorn was given

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take a connection if there may be one more; the one that has been idle for longest makes room."""
        self.door = self.app_state["door"]
        self.waiting = True
        self.between_messages = True
        """No byte of a message has come since the last one was whole."""
        self.messages = 0
        self.head_timer: asyncio.TimerHandle | None = None
        self.head_bytes = 0
        self.heard_at = 0.0
        self.dropping = 0
        self.stall_timer: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        door = self.door
        if len(self.connections) > door.max_connections:
            if not door.idle:
                self.transport.write(door.refusal.render(close=True))
                self.transport.close()
                return
            oldest = next(iter(door.idle))
            del door.idle[oldest]
            oldest.end()
        door.idle[self] = None
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.door.idle.pop(self, None)
        for timer in (self.head_timer, self.stall_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes. From the first of a head on there is a time in which the head must be whole."""
        if self.dropping:
            data = self._drop(data)
            if not data:
                return
        door, now = self.door, self.loop.time()
        # To look at a request twice costs a fifth of what a small one costs: only where it is likely to save that.
        # And only between two messages: the parser may wait for the rest of a head, or of a body that has its answer.
        between = self.waiting and self.between_messages and self.head_timer is None
        if between and door.refusing(now) and not door.lifecycle.draining:
            refused = door.turned_away(data, now)
            if refused is not None:
                self._turn_away(*refused, now)
                return
        before = self.messages
        super().data_received(data)
        # Where a whole request was refused at once, and nothing came behind it, nothing is on its way.
        if self.waiting and (self.messages == before or not self.between_messages):
            self._still_waiting(len(data))

    def _turn_away(self, refusal: bytes, missing: int, now: float) -> None:
        """Answer a request of whose body `missing` bytes are still to come; the parser sees nothing of it.

        Who does not read refusals, and goes on asking, is sent no more: nothing else bounds how many there may be.
        """
        if self.flow.write_paused:
            self.transport.abort()
            return
        self.heard_at = now
        # It has been idle for less long than all others.
        self.door.idle.pop(self, None)
        self.door.idle[self] = None
        self.transport.write_alone(refusal)
        if missing:
            self.dropping = missing
            self.head_timer = self.loop.call_later(self.door.http.head_timeout_s, self.end)

    def _drop(self, data: bytes) -> bytes:
        """Take bytes of a body that was turned away; returns what is behind it."""
        missing = self.dropping
        self.dropping = max(0, missing - len(data))
        self.heard_at = self.loop.time()
        if not self.dropping:
            self._end_head_timer()
        return data[missing:]

    def _still_waiting(self, size: int) -> None:
        """Bytes have come, but no whole head: the rest of one, or of a body that was answered before it was there."""
        if self.head_timer is None:
            self.head_bytes = 0
            self.head_timer = self.loop.call_later(self.door.http.head_timeout_s, self.end)
        cycle: Cycle | None = self.cycle
        in_head = cycle is None or cycle.scope is not self.scope
        self.head_bytes += size if in_head else 0
        if self.head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Begin with a request."""
        self.head_has_come()
        super().on_headers_complete()

    def head_has_come(self) -> None:
        """The wait for a request is over."""
        self.waiting = False
        self.door.idle.pop(self, None)
        self._end_head_timer()

    def message_has_come(self) -> None:
        """A request is there whole; it may have been refused before."""
        self.between_messages = True
        self.messages += 1
        self._end_head_timer()

    def _end_head_timer(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.enter(cycle, partial(super()._start_asgi_task, cycle, app))

    def enter(self, cycle: Cycle, start: Call) -> None:
        """Start a request at once, or when it is its user's turn, or refuse it."""
        door = self.door
        if door.lifecycle.draining:
            cycle.keep_alive = False
        if door.open(self.loop.time()):
            start()
            return
        scope = cycle.scope
        later = partial(self._start_later, cycle, start)
        if not door.admit(scope["path"], scope["headers"], later, partial(self._refuse, cycle)):
            self._refuse(cycle)

    def _start_later(self, cycle: Cycle, start: Call) -> None:
        if not cycle.disconnected:
            start()

    def _refuse(self, cycle: Cycle) -> None:
        """Answer 503; what still comes of the body is dropped."""
        self.door.count_refused(cycle.scope["path"])
        cycle.response_started = cycle.response_complete = True
        if cycle.disconnected:
            return
        self.transport.flush_past(REFUSALS_AT_ONCE)
        if self.flow.write_paused:
            self.transport.abort()
            return
        given_id = next((value for name, value in cycle.scope["headers"] if name == b"x-request-id"), None)
        self.transport.write(self.door.refusal.render(given_id, close=not cycle.keep_alive))
        if not cycle.keep_alive:
            self.transport.close()
        if self.pipeline:
            # Not in this call: each of thousands of pipelined requests would make the stack deeper.
            self.loop.call_soon(self.on_response_complete)
        else:
            self.on_response_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, if none has come yet."""
        if not self.pipeline:
            self.waiting = True
            if not self.transport.is_closing():
                self.door.idle[self] = None
        super().on_response_complete()

    def shutdown(self) -> None:
        """The process ends: stay a little where no request is under way, as one may be on its way here."""
        if self.waiting and not self.transport.is_closing():
            self.loop.call_later(LINGER_S, self._end_if_idle)
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    def _end_if_idle(self) -> None:
        if self.waiting:
            self.end()

    def timeout_keep_alive_handler(self) -> None:
        """Nobody has sent anything for long, but for what was turned away."""
        left = self.heard_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            self.end()

    def end(self) -> None:
        """Close the connection, also where its client does not read what it was sent."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent to: it must go on reading."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def _watch(self, unread: int) -> None:
        self.stall_timer = self.loop.call_later(self.door.http.send_timeout_s, self._end_if_stalled, unread)

    def _end_if_stalled(self, before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread >= before:
            self.transport.abort()
        else:
            self._watch(unread)

    def resume_writing(self) -> None:
        """The client has read what there was."""
        super().resume_writing()
        if self.stall_timer is not None:
            self.stall_timer.cancel()
            self.stall_timer = None
