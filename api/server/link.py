"""A connection below HTTP: its socket or its TLS, its waits, and what it writes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from math import inf
from typing import Any, cast

from api.http.endpoint import error_answer
from api.http.problems import Kind, retry_later
from api.http.response import Written
from api.http.routes import OTHER
from api.overload.memory_budgets import AnswerShare
from api.server.connections import LINGER_S, Phase
from api.server.serving import Application
from api.server.tls import TlsTransport


class Link:
    """One connection of a client, without its requests. `phase_ends` and `stall_ends` are the loop's times.

    It has the methods that the event loop calls on a protocol, but does not inherit from it: compiled, it keeps its
    attributes in slots.
    """

    def __init__(self, config: Any, server_state: Any, **_: Any) -> None:
        application: Application = config.loaded_app
        self._serving = application.serving
        self._connections = self._serving.connections
        self._state = server_state
        self._loop = asyncio.get_running_loop()
        self._socket: asyncio.Transport
        self._transport: asyncio.Transport | TlsTransport
        """Takes what is to be sent: the socket, or its TLS."""
        self._tls: TlsTransport | None = None
        self._peer = "unknown"
        self._phase = Phase.LINGER
        self.phase_ends = self.stall_ends = inf
        self._ended = False
        """Whether the client has finished sending."""
        self._paused = False
        """Whether the client does not read the answers."""
        self._unread: list[AnswerShare] = []
        """The memory held by answers that the client has not read."""
        self._unread_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection, if the limit allows it."""
        self._socket = self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple) and peer:
            self._peer = str(peer[0])
        self._state.connections.add(self)
        if self._serving.tls is not None:
            self._tls = self._transport = TlsTransport(self._serving.tls, self._socket)
        if self._connections.add(self):
            self._enter(Phase.IDLE if self._tls is None else Phase.HANDSHAKE)
            return
        if self._tls is None:
            self._turn_away()
        self._socket.close()

    def _turn_away(self) -> None:
        """Answer that there are too many connections."""
        serving = self._serving
        request_id = serving.ids.of(None)
        answer = error_answer(retry_later(Kind.OVERLOADED, "the limit of connections is reached"), request_id)
        self._write(serving.renderer.render(answer, request_id, close=True))
        serving.gate.count_rejected(OTHER)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was
        """Stop counting the connection."""
        self._connections.remove(self)
        self.phase_ends = self.stall_ends = inf
        self._phase = Phase.LINGER
        self._paused = False
        self._give_back()

    def _enter(self, phase: Phase) -> None:
        """Begin another phase."""
        limit_s = self._connections.limits[phase]
        if phase is Phase.IDLE:
            # The last of those that wait, even if it was among them before.
            self._connections.idle.pop(self, None)
            self._connections.idle[self] = None
            if self._serving.lifecycle.draining:
                limit_s = LINGER_S
        elif self._phase is Phase.IDLE:
            self._connections.idle.pop(self, None)
        self.phase_ends = self._loop.time() + limit_s
        self._phase = phase

    def end_wait(self, now: float) -> None:
        """End the wait whose time has passed."""
        if self.stall_ends <= now:
            unread = self._transport.get_write_buffer_size()
            if unread >= self._unread_bytes:
                self._socket.abort()
            else:
                self._expect_reading(unread)
        elif self._transport.is_closing():
            self._socket.abort()
        else:
            self._close()

    def make_room(self) -> None:
        """Close the connection, which waits for a request, because the limit is reached."""
        self._close()
        self._connections.remove(self)

    def _close(self) -> None:
        """Close the connection after everything is written, if the client reads it in time."""
        self._transport.close()
        self.phase_ends = self._loop.time() + self._connections.send_timeout_s

    def _decrypt(self, tls: TlsTransport, data: bytes) -> bytes:
        try:
            data = tls.decrypt(data)
        except ssl.SSLError:
            self._close()
            return b""
        if tls.established and self._phase is Phase.HANDSHAKE:
            self._enter(Phase.IDLE)
        return data

    def _write(self, pieces: Sequence[Written]) -> None:
        """Send pieces. uvloop joins everything that is written in one turn of the event loop."""
        if not self._transport.is_closing():
            self._transport.writelines(pieces)

    def pause_writing(self) -> None:
        """The client reads more slowly than the server sends: it must keep reading."""
        self._paused = True
        if self._tls is not None:
            self._tls.pause_writing()
        self._expect_reading(self._transport.get_write_buffer_size())

    def _expect_reading(self, unread: int) -> None:
        self._unread_bytes = unread
        self.stall_ends = self._loop.time() + self._connections.send_timeout_s

    def resume_writing(self) -> None:
        """The client has read what was sent."""
        self._paused = False
        self.stall_ends = inf
        if self._tls is not None:
            self._tls.resume_writing()
        if not self._paused:
            self._give_back()

    def _give_back(self) -> None:
        """Release the memory of all answers on this connection."""
        unread, self._unread = self._unread, []
        for share in unread:
            share.release()
