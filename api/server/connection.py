"""One connection of a client: answers its requests in order, and ends every wait.

Every request takes the same steps, whether it arrives at once or in pieces: head, body, gate, endpoint, answer. The
next request is read when the one before it is answered, so answers are sent in order. uvicorn makes an object of this
class for each connection, by its setting `http`.
"""

from __future__ import annotations

from math import inf
from typing import Any

from api.http.head import Head, malformed, read_head
from api.http.problems import Problem
from api.http.response import CONTINUE
from api.server.connections import Phase
from api.server.exchange import Exchange
from api.server.responder import Responder

MAX_AHEAD_BYTES = 64 * 1024
"""Bytes of further requests that are read while one is worked on."""


class Connection(Responder):
    """One connection of a client."""

    def __init__(self, config: Any, server_state: Any, **more: Any) -> None:
        super().__init__(config, server_state, **more)
        self._data = b""
        """The bytes that were received; those from `_at` on are not processed yet."""
        self._at = 0
        self._read_at = self._unread_since = -inf
        self._held = False
        """Whether reading is paused, because too many bytes wait already."""
        self._advancing = False

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._exchange is None and not self._paused:
            self._advance()

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
            if self._tls.ended:
                self._loop.call_soon(self._end_of_tls)
        if not data or self._phase is Phase.LINGER:
            return
        now = self._loop.time()
        arrived = self._connections.arrivals.earliest(now, self._read_at)
        self._read_at = now
        if self._unread_since > -inf:
            arrived = min(arrived, self._unread_since)
            if not self._held:
                self._unread_since = -inf
        waiting = self._phase is Phase.ANSWER
        if self._at < len(self._data):
            data = self._data[self._at :] + data
            if waiting:
                # These bytes follow another request: the arrival of the earliest byte counts for all of them.
                arrived = min(arrived, self._arrived)
        self._data, self._at, self._arrived = data, 0, arrived
        if waiting:
            if len(data) > MAX_AHEAD_BYTES:
                self._hold()
        else:
            self._advance()

    def eof_received(self) -> bool:
        """The client has finished sending. It may still wait for an answer, so it does not count as gone."""
        self._ended = True
        if self._phase in (Phase.HANDSHAKE, Phase.LINGER):
            return False
        self._advance()
        return True

    def _end_of_tls(self) -> None:
        if not self._ended and not self.eof_received():
            self._close()

    def _hold(self) -> None:
        """Stop reading until the received bytes are processed."""
        if not self._held:
            self._held = True
            self._unread_since = self._loop.time()
            self._socket.pause_reading()

    def _advance(self) -> None:
        """Process the received bytes, as far as possible."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._phase is not Phase.LINGER and self._step():
                pass
        finally:
            self._advancing = False
        if self._at == len(self._data):
            # The limits do not count these bytes while the connection is idle.
            self._data, self._at = b"", 0
        is_busy = self._exchange is not None and (self._exchange.interrupted or self._phase is Phase.ANSWER)
        if self._held and not self._paused and not is_busy:
            self._held = False
            self._socket.resume_reading()

    def _step(self) -> bool:
        """Process one head, or the received part of one body. False: no more can be done now."""
        exchange = self._exchange
        try:
            if exchange is None:
                return self._take_head()
            return not exchange.whole and self._take_body(exchange)
        except Exception as error:  # noqa: BLE001 - every error is answered, and ends the connection
            self._fail(error)
            return False

    def _take_head(self) -> bool:
        if self._paused:
            # The client has not read the answers before this one.
            self._hold()
            return False
        begun = self._at < len(self._data)
        if begun:
            head, self._at = read_head(self._data, self._at)
            if head is not None:
                if not (self._serving.gate.waiting and self._rejects_at_once(head)):
                    self._begin(head)
                return True
            begun = self._at < len(self._data)
        if self._ended:
            if begun:
                raise malformed("the connection ended before the request")
            self._finish()
        elif begun and self._phase is not Phase.HEAD:
            self._enter(Phase.HEAD)
        elif not begun and self._phase is not Phase.IDLE:
            self._enter(Phase.IDLE)
        return False

    def _rejects_at_once(self, head: Head) -> bool:
        """Reject a request that has arrived completely, as `_admit` would, but without an exchange.

        Under overload most requests end here, and each costs time that the others do not get.
        """
        serving, size = self._serving, head.length
        if size is None or size > len(self._data) - self._at:
            return False
        if not head.keep_alive or head.expects_continue or serving.lifecycle.draining:
            return False
        try:
            route = serving.routes.of(head)
            route.check(head)
            user = route.user_of(head)
        except Problem:
            return False
        now = self._loop.time()
        if route is serving.routes.rest or head.method == "HEAD" or not serving.gate.full(user, now):
            return False
        self._at += size
        serving.gate.count_rejected(serving.routes.name_of(head.path))
        self._write([serving.rejections.render(serving.ids.of(head.fields.get(b"x-request-id")))])
        self._enter(Phase.IDLE)
        return True

    def _begin(self, head: Head) -> None:
        """Begin a request whose head has arrived."""
        serving = self._serving
        fields = head.fields
        exchange = self._exchange = Exchange(
            head,
            serving.routes.rest,
            serving.ids.of(fields.get(b"x-request-id")),
            serving.proxies.client(self._peer, fields.get(b"x-forwarded-for")),
            serving.budget,
        )
        try:
            exchange.route = serving.routes.of(head)
            exchange.route.check(head)
        except Problem as problem:
            self._refuse(exchange, problem)
        else:
            if exchange.whole:
                self._admit(exchange)

    def _take_body(self, exchange: Exchange) -> bool:
        self._at = exchange.take(self._data, self._at)
        if exchange.fault is not None and not exchange.answered:
            self._refuse(exchange, self._fault_of(exchange) or exchange.fault)
            if self._phase is Phase.LINGER:
                return False
        if exchange.whole:
            if exchange.answered:
                self._next()
            else:
                self._admit(exchange)
            return True
        if exchange.interrupted:
            self._hold()
            self._loop.call_soon(self._advance)
        elif self._ended:
            raise malformed("the connection ended before the request")
        if self._phase is not Phase.BODY:
            self._enter(Phase.BODY)
            if not exchange.answered:
                self._check_early(exchange)
        return False

    def _check_early(self, exchange: Exchange) -> None:
        """Check whether the request would be rejected, before waiting for the rest of its body."""
        problem = self._fault_of(exchange)
        if problem is not None:
            self._refuse(exchange, problem)
        elif self._is_guarded(exchange) and self._serving.gate.full(exchange.user, self._loop.time()):
            self._reject(exchange)
        elif exchange.head.expects_continue and not exchange.received:
            self._write([CONTINUE])

    def _next(self) -> None:
        """Continue with the next request."""
        self._exchange = None
        if self._at < len(self._data) or self._held or self._ended or self._advancing:
            self._advance()
        else:
            self._enter(Phase.IDLE)

    def _finish(self) -> None:
        """Close the connection after everything is written, in a way that lets the client read it."""
        exchange = self._exchange
        more = self._at < len(self._data) or (exchange is not None and not exchange.whole)
        self._data, self._at = b"", 0
        if self._ended or not more:
            self._close()
            return
        self._enter(Phase.LINGER)
        if self._tls is None:
            # TLS cannot end one direction of a connection and keep the other.
            self._socket.write_eof()
