"""One connection of a client: its requests in order, each with its answer, and an end to every wait.

Every request goes one way, whole or in pieces: head, body, gate, endpoint, answer. The next request is looked at when
the one before it is answered, so answers go out in order. uvicorn makes an object of this class for each connection, by
its setting `http`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import partial
from math import inf
from typing import Any, cast

from api.http.endpoint import error_answer
from api.http.head import Head, HeadReader, malformed
from api.http.problems import Kind, Problem, retry_later
from api.http.request import Request
from api.http.response import CONTINUE, Answer
from api.overload.memory_budgets import AnswerBudget
from api.server.connections import LINGER_S, Phase
from api.server.exchange import Exchange
from api.server.serving import Application
from api.server.tls import TlsTransport

MAX_AHEAD_BYTES = 64 * 1024
"""Of further requests that are read while one is under way."""


class Connection(asyncio.Protocol):
    """One connection of a client."""

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
        self._heads = HeadReader()
        self._data = b""
        """What was received and is not taken yet, from `_at` on."""
        self._at = 0
        self._arrived = 0.0
        """When the last byte of the request that is looked at arrived, at the earliest."""
        self._read_at = self._unread_since = -inf
        self._held = False
        """Whether nothing is read, as too much is there already."""
        self._ended = False
        """Whether the client has ended what it sends."""
        self._exchange: Exchange | None = None
        self._advancing = False
        self._out: list[bytes] = []
        self._paused = False
        """Whether the client does not read what it is sent."""
        self._unread: list[AnswerBudget.Share] = []
        self._unread_bytes = 0

    # ---- the connection and its waits

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
            exchange = self._nobody()
            exchange.rejected = True
            self._fail(retry_later(Kind.OVERLOADED, "there are as many connections as are allowed"))
        raw.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was
        """Forget the connection."""
        self._connections.remove(self)
        self._state.connections.discard(self)
        self.phase_ends = self.stall_ends = inf
        self._phase = Phase.LINGER
        self._paused = False
        self._give_back()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.gone = True
            if not exchange.whole:
                exchange.drop_body()

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
        limit_s = self._connections.limits[self._phase]
        if self.stall_ends <= now:
            unread = self._transport.get_write_buffer_size()
            if unread >= self._unread_bytes:
                self._transport.abort()
            else:
                self._expect_reading(unread)
        elif self._transport.is_closing():
            self._transport.abort()
        elif self._phase is Phase.HEAD:
            self._fail(Problem(Kind.HEAD_TIMEOUT, f"the head did not arrive within {limit_s:g} seconds"))
        elif self._phase is Phase.BODY and self._exchange is not None and not self._exchange.answered:
            # What still comes of it is dropped, for as long again.
            self.phase_ends = now + limit_s
            self._refuse(
                self._exchange, Problem(Kind.BODY_TIMEOUT, f"the body did not arrive within {limit_s:g} seconds")
            )
        else:
            self._close()

    def make_room(self) -> None:
        """Close the connection, which waits for a request, as there are too many."""
        self._close()
        self._connections.remove(self)

    def shutdown(self) -> None:
        """The process ends. The request under way is the last; where there is none, one may be on its way here."""
        if self._phase in (Phase.IDLE, Phase.HANDSHAKE):
            self.phase_ends = self._loop.time() + LINGER_S
        elif self._exchange is not None:
            self._exchange.keep_alive = False

    def _close(self) -> None:
        """Close the connection after what was written, if the client reads it in time."""
        self._transport.close()
        self.phase_ends = self._loop.time() + self._connections.send_timeout_s

    # ---- what comes in

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
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
                # Requests behind another one: the earliest byte counts for all of them.
                arrived = min(arrived, self._arrived)
        self._data, self._at, self._arrived = data, 0, arrived
        if waiting:
            if len(data) > MAX_AHEAD_BYTES:
                self._hold()
        else:
            self._advance()

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

    def eof_received(self) -> bool:
        """The client has ended what it sends. It may wait for an answer still, so it is not taken for gone."""
        self._ended = True
        if self._phase is Phase.ANSWER:
            return True
        if self._phase in (Phase.HEAD, Phase.BODY) and (self._exchange is None or not self._exchange.answered):
            self._fail(malformed("the connection ended before the request"))
            return True
        return False

    def _hold(self) -> None:
        """Read no more until what is there is taken."""
        if not self._held:
            self._held = True
            self._unread_since = self._loop.time()
            self._transport.pause_reading()

    def _advance(self) -> None:
        """Take what is there, as far as it goes."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._phase is not Phase.LINGER and self._step():
                pass
        finally:
            self._advancing = False
        self._flush()
        is_busy = self._exchange is not None and (self._exchange.interrupted or self._phase is Phase.ANSWER)
        if self._held and not self._paused and not is_busy:
            self._held = False
            self._transport.resume_reading()

    def _step(self) -> bool:
        """Take one head, or what is there of one body; False: nothing more can be done now."""
        exchange = self._exchange
        try:
            if exchange is None:
                return self._take_head()
            return not exchange.whole and self._take_body(exchange)
        except Exception as error:  # noqa: BLE001 - whatever it was is answered, and ends the connection
            self._fail(error)
            return False

    def _take_head(self) -> bool:
        if self._paused:
            # The client has not read what it was answered before.
            self._hold()
            return False
        head, self._at = self._heads.read(self._data, self._at)
        if head is not None:
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

    def _begin(self, head: Head) -> None:
        """Begin with a request, of which the head is there."""
        serving = self._serving
        fields = head.fields
        route = serving.endpoints.get(head.path)
        exchange = self._exchange = Exchange(
            head,
            serving.rest if route is None else route,
            serving.ids.of(fields.get(b"x-request-id")),
            serving.proxies.client(self._peer, fields.get(b"x-forwarded-for")),
            serving.budget,
        )
        try:
            if route is None:
                serving.routes.check(head.path)
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
        """Before the rest of a body is waited for, see whether it is worth it."""
        problem = self._fault_of(exchange)
        if problem is not None:
            self._refuse(exchange, problem)
        elif self._is_guarded(exchange) and self._serving.gate.is_full(exchange.user, self._loop.time()):
            self._reject(exchange)
        elif exchange.head.expects_continue and not exchange.received:
            self._write([CONTINUE])

    # ---- the gate, and the endpoint behind it

    def _is_guarded(self, exchange: Exchange) -> bool:
        """Whether the gate is before the request's route. Health and metrics are what one needs most under overload."""
        return exchange.route is not self._serving.rest

    def _fault_of(self, exchange: Exchange) -> Problem | None:
        """Learn whose request this is; why it is refused whatever its body may be, if it is."""
        try:
            exchange.user = exchange.route.user_of(exchange.head)
        except Problem as problem:
            return problem
        return None

    def _admit(self, exchange: Exchange) -> None:
        """Start a request that is there whole, at once or when it is its user's turn, or reject it."""
        exchange.arrived = self._arrived
        self._enter(Phase.ANSWER)
        gate, size = self._serving.gate, exchange.received
        if not self._is_guarded(exchange) or gate.is_open(size, self._loop.time()):
            self._start(exchange)
            return
        problem = self._fault_of(exchange)
        if problem is not None:
            self._refuse(exchange, problem)
            return
        start, reject = partial(self._start, exchange), partial(self._reject, exchange)
        if not gate.enter(exchange.user, size, start, reject):
            reject()

    def _start(self, exchange: Exchange) -> None:
        """Ask the endpoint, unless the request's client has gone or its time is over."""
        if exchange.gone:
            exchange.drop_body()
        elif self._loop.time() - exchange.arrived >= self._serving.request_timeout_s:
            self._reject(exchange)
        else:
            task = self._loop.create_task(self._run(exchange))
            self._state.tasks.add(task)
            task.add_done_callback(self._state.tasks.discard)

    async def _run(self, exchange: Exchange) -> None:
        head = exchange.head
        request = Request(
            head.method,
            head.path,
            head.query,
            head.fields,
            address=exchange.address,
            request_id=exchange.request_id,
            arrived=exchange.arrived,
        )
        try:
            answer = await exchange.route.answer(request, exchange.take_body())
        except BaseException:
            self._transport.close()
            raise
        finally:
            exchange.drop_body()
        self._reply(exchange, answer)

    # ---- what goes out

    def _reject(self, exchange: Exchange) -> None:
        """Answer that the request was not admitted. Rejections are counted together, and not logged one by one."""
        exchange.rejected = True
        self._refuse(exchange, retry_later(Kind.OVERLOADED, "requests wait as long as is allowed; nothing was applied"))

    def _refuse(self, exchange: Exchange, error: Exception) -> None:
        """Answer a request that is not asked of its endpoint; what still comes of its body is dropped."""
        exchange.drop_body()
        self._reply(exchange, error_answer(error, exchange.request_id))

    def _reply(self, exchange: Exchange, answer: Answer) -> None:
        """Write the answer to a request, and go on with the next. A plain function: it needs no task."""
        serving, head = self._serving, exchange.head
        # A client that gets an error in place of 100 may send the body or not. The connection ends also where the body
        # was there already, so that the request means the same however it was cut on its way.
        is_uncertain = head.expects_continue and answer.status >= 400
        keep_alive = exchange.keep_alive and not is_uncertain and not serving.lifecycle.draining
        if exchange.gone or self._transport.is_closing():
            # It is counted as what was done, though nobody reads it.
            exchange.gone = True
        else:
            self._write(
                serving.renderer.render(
                    answer, exchange.request_id, close=not keep_alive, without_body=head.method == "HEAD"
                )
            )
        if answer.share is not None:
            self._unread.append(answer.share)
            if not self._paused:
                self._give_back()
        exchange.answered = True
        route = serving.routes.name_of(head.path)
        if exchange.rejected:
            serving.gate.count_rejected(route)
        else:
            seconds = time.perf_counter() - exchange.began
            serving.log.answered(
                exchange.request_id, head.method, head.path, route, answer.status, seconds, exchange.address
            )
        if exchange.gone:
            return
        if not keep_alive:
            self._finish()
        elif exchange.whole:
            self._next()

    def _next(self) -> None:
        """Go on with the next request."""
        self._exchange = None
        if self._at < len(self._data) or self._held or self._ended or self._advancing:
            self._advance()
        else:
            self._enter(Phase.IDLE)

    def _nobody(self) -> Exchange:
        """Something that is no request is answered as one."""
        serving = self._serving
        exchange = self._exchange = Exchange(
            Head("-", "-", b"", {}), serving.rest, serving.ids.of(None), self._peer, serving.budget
        )
        return exchange

    def _fail(self, error: Exception) -> None:
        """Answer what cannot be served, and end the connection: nobody knows where the next request begins."""
        exchange = self._exchange or self._nobody()
        exchange.keep_alive = exchange.whole = False
        if exchange.answered:
            self._finish()
        else:
            self._refuse(exchange, self._fault_of(exchange) or error)

    def _finish(self) -> None:
        """End the connection after everything is written, and so that the client gets to read it."""
        self._flush()
        exchange = self._exchange
        more = self._at < len(self._data) or (exchange is not None and not exchange.whole)
        self._data, self._at = b"", 0
        if self._ended or not more:
            self._close()
            return
        self._enter(Phase.LINGER)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _write(self, pieces: list[bytes]) -> None:
        self._out += pieces
        if not self._advancing:
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
            if self._exchange is None:
                self._advance()

    def _give_back(self) -> None:
        """Nothing of what was answered waits for the client any more."""
        unread, self._unread = self._unread, []
        for share in unread:
            share.release()
