"""A connection below HTTP: its socket or its TLS, what it waits for, and what it writes."""

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

    It has what the event loop asks of a protocol, and does not inherit it: compiled, it keeps its attributes in slots.
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
        """Whether the client has ended what it sends."""
        self._paused = False
        """Whether the client does not read what it is sent."""
        self._out: list[Written] = []
        self._out_waits = False
        """Whether what is written is kept, as more comes in this turn."""
        self._unread: list[AnswerShare] = []
        """What answers hold of the memory that the client has not read."""
        self._unread_bytes = 0

    # ---- what a connection that knows requests does

    def _turn_away(self) -> None:
        """Answer that there are too many connections."""
        raise NotImplementedError

    def _answer_late(self, now: float) -> bool:
        """Answer what has not come in its time; False: there is nothing to answer."""
        raise NotImplementedError

    def _may_go_on(self) -> None:
        """The client has read its answers."""
        raise NotImplementedError

    def eof_received(self) -> bool:
        """The client has ended what it sends; False: so does the connection."""
        raise NotImplementedError

    # ---- what every connection does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, if there may be one more."""
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
        """Forget the connection."""
        self._connections.remove(self)
        self._state.connections.discard(self)
        self.phase_ends = self.stall_ends = inf
        self._phase = Phase.LINGER
        self._paused = False
        self._give_back()

    def _enter(self, phase: Phase) -> None:
        """Begin to wait for something else."""
        limit_s = self._connections.limits[phase]
        if phase is Phase.IDLE:
            self._connections.idle[self] = None
            if self._serving.lifecycle.draining:
                limit_s = LINGER_S
        elif self._phase is Phase.IDLE:
            self._connections.idle.pop(self, None)
        self.phase_ends = self._loop.time() + limit_s
        self._phase = phase

    def end_wait(self, now: float) -> None:
        """End the wait whose time is over."""
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
        """Close the connection, which waits for a request, as there are too many."""
        self._close()
        self._connections.remove(self)

    def _close(self) -> None:
        """Close the connection after what was written, if the client reads it in time."""
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
        """The client reads more slowly than it is sent to: it must go on reading."""
        self._paused = True
        if self._tls is not None:
            self._tls.pause_writing()
        self._expect_reading(self._transport.get_write_buffer_size())

    def _expect_reading(self, unread: int) -> None:
        self._unread_bytes = unread
        self.stall_ends = self._loop.time() + self._connections.send_timeout_s

    def resume_writing(self) -> None:
        """The client has read what there was."""
        self._paused = False
        self.stall_ends = inf
        if self._tls is not None:
            self._tls.resume_writing()
        if not self._paused:
            self._give_back()
            self._may_go_on()

    def _give_back(self) -> None:
        """Nothing of what was answered waits for the client any more."""
        unread, self._unread = self._unread, []
        for share in unread:
            share.release()
