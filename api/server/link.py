"""A connection below HTTP: its socket or its TLS, its waits, and what it writes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from math import inf
from typing import Any, cast

from api.http.response import Written
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
        self._transport: asyncio.Transport | TlsTransport
        self._tls: TlsTransport | None = None
        self._peer = "unknown"
        self._phase = Phase.LINGER
        self.phase_ends = self.stall_ends = inf
        self._ended = False
        """Whether the client has finished sending."""
        self._paused = False
        """Whether the client does not read the answers."""
        self._out: list[Written] = []
        self._out_waits = False
        """Whether writes are collected, because more follow in this turn."""
        self._unread: list[AnswerShare] = []
        """The memory held by answers that the client has not read."""
        self._unread_bytes = 0

    # ---- implemented by a connection that reads requests

    def _turn_away(self) -> None:
        """Answer that there are too many connections."""
        raise NotImplementedError

    def _answer_late(self, now: float) -> bool:
        """Answer a request that did not arrive in time; False: there is nothing to answer."""
        raise NotImplementedError

    def _may_go_on(self) -> None:
        """Continue: the client has read its answers."""
        raise NotImplementedError

    def eof_received(self) -> bool:
        """The client has finished sending; False: the connection ends, too."""
        raise NotImplementedError

    # ---- common to all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection, if the limit allows it."""
        raw = self._transport = cast("asyncio.Transport", transport)
        peer = raw.get_extra_info("peername")
        if isinstance(peer, tuple) and peer:
            self._peer = str(peer[0])
        self._state.connections.add(self)
        if self._serving.tls is not None:
            self._tls = self._transport = TlsTransport(self._serving.tls, raw)
        if self._connections.add(self):
            self._enter(Phase.IDLE if self._tls is None else Phase.HANDSHAKE)
            return
        if self._tls is None:
            self._turn_away()
        raw.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was
        """Stop counting the connection."""
        self._connections.remove(self)
        self._state.connections.discard(self)
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
                self._transport.abort()
            else:
                self._expect_reading(unread)
        elif self._transport.is_closing():
            self._transport.abort()
        elif not self._answer_late(now):
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
        if tls.ended:
            self._loop.call_soon(self._end_of_tls)
        return data

    def _end_of_tls(self) -> None:
        if not self._ended and not self.eof_received():
            self._close()

    def _write(self, pieces: Sequence[Written]) -> None:
        self._out += pieces
        if not self._out_waits:
            self._flush()

    def _flush(self) -> None:
        out = self._out
        if out:
            self._out = []
            if not self._transport.is_closing():
                self._transport.writelines(out)

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
            self._may_go_on()

    def _give_back(self) -> None:
        """Release the memory of all answers on this connection."""
        unread, self._unread = self._unread, []
        for share in unread:
            share.release()
