"""Decides about a request (refused, rejected by the gate, or passed to its endpoint) and writes its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Coroutine
from functools import partial
from typing import Any

from api.http.chunked import LAST_CHUNK, chunk_of
from api.http.endpoint import error_answer
from api.http.head import Head
from api.http.problems import Kind, Problem
from api.http.rejection import rejection
from api.http.request import Request
from api.http.response import CLIENT_CLOSED, Answer
from api.overload.tuning import BYTES_PER_START
from api.server.connections import LINGER_S, Phase
from api.server.exchange import Exchange
from api.server.link import Link

_log = logging.getLogger(__name__)


class Responder(Link):
    """A connection that answers one request at a time, however its parts arrive."""

    def __init__(self, config: Any, server_state: Any, **more: Any) -> None:
        super().__init__(config, server_state, **more)
        self._exchange: Exchange | None = None
        self._arrived = 0.0
        """The earliest time at which the last byte of the current request can have arrived."""
        self._streaming: asyncio.Task[Any] | None = None
        self._has_read: asyncio.Event | None = None
        """Set when the client has read what was sent of a streamed answer."""

    def _next(self) -> None:
        """Continue with the next request; a connection that reads requests implements this."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Close the connection after everything is written; a connection that reads requests implements this."""
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and end the work that only its client needs. If a request runs, the process waits for
        it before it ends.
        """
        super().connection_lost(exc)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.gone = True
            if not exchange.whole:
                exchange.drop_body()
        if exchange is None or exchange.answered or not exchange.asked:
            self._state.connections.discard(self)
        if self._streaming is not None:
            self._streaming.cancel()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._has_read is not None and not self._paused:
            self._has_read.set()

    def shutdown(self) -> None:
        """The process ends: the current request is the last. If there is none, one may still arrive."""
        if self._phase in (Phase.IDLE, Phase.HANDSHAKE):
            self.phase_ends = self._loop.time() + LINGER_S
        elif self._exchange is not None:
            self._exchange.keep_alive = False

    def end_wait(self, now: float) -> None:
        """End the wait whose time has passed; answer a request that did not arrive in time."""
        exchange, limit_s = self._exchange, self._connections.limits[self._phase]
        is_open = self.stall_ends > now and not self._transport.is_closing()
        if is_open and self._phase is Phase.HEAD:
            self._fail(Problem(Kind.HEAD_TIMEOUT, f"the head did not arrive within {limit_s:g} seconds"))
        elif is_open and self._phase is Phase.BODY and exchange is not None and not exchange.answered:
            # The rest of the body is dropped, for the same time again.
            self.phase_ends = now + limit_s
            self._refuse(exchange, Problem(Kind.BODY_TIMEOUT, f"the body did not arrive within {limit_s:g} seconds"))
        else:
            super().end_wait(now)

    def _is_guarded(self, exchange: Exchange) -> bool:
        """Whether the gate applies to the request. Health and metrics are needed most under overload."""
        return exchange.route is not self._serving.routes.rest

    def _fault_of(self, exchange: Exchange) -> Problem | None:
        """Find out who sends the request. Returns why the request is refused whatever its body is, or None."""
        try:
            exchange.user = exchange.route.user_of(exchange.head)
        except Problem as problem:
            return problem
        return None

    def _admit(self, exchange: Exchange) -> None:
        """Start a complete request, at once or when it is its user's turn, or reject it."""
        exchange.arrived = self._arrived
        self._enter(Phase.ANSWER)
        gate, size = self._serving.gate, exchange.received
        if not self._is_guarded(exchange) or gate.is_open(size):
            self._start(exchange)
            return
        problem = self._fault_of(exchange)
        if problem is not None:
            self._refuse(exchange, problem)
            return
        start, reject = partial(self._start, exchange), partial(self._reject, exchange)
        if not gate.enter(exchange.user, 1 + size // BYTES_PER_START, start, reject):
            reject()

    def _start(self, exchange: Exchange) -> None:
        """Call the endpoint, unless the client has disconnected or the request's time has passed."""
        if exchange.gone:
            exchange.drop_body()
            return
        waited_s = self._loop.time() - exchange.arrived
        if waited_s >= self._serving.request_timeout_s:
            self._reject(exchange)
            return
        if self._is_guarded(exchange):
            self._serving.stage("gate", waited_s)
        exchange.asked = True
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
            exchange.route.begin(request, exchange.take_body(), partial(self._take, exchange))
        except Exception as error:  # noqa: BLE001 - it must not reach the gate or another connection
            self._break(exchange, error)

    def _take(self, exchange: Exchange, answer: Answer | Coroutine[Any, Any, Answer]) -> None:
        """Write an answer, or have a task make it first. It never raises: its callers serve other requests, too."""
        if not isinstance(answer, Answer):
            task = self._loop.create_task(self._run(exchange, answer))
            self._state.tasks.add(task)
            task.add_done_callback(self._state.tasks.discard)
            return
        exchange.drop_body()
        try:
            self._reply(exchange, answer)
        except Exception as error:  # noqa: BLE001 - see above
            self._break(exchange, error)

    async def _run(self, exchange: Exchange, making: Coroutine[Any, Any, Answer]) -> None:
        try:
            answer = await making
        except BaseException:
            self._transport.close()
            raise
        finally:
            exchange.drop_body()
        if answer.pieces is None:
            self._take(exchange, answer)
        else:
            await self._stream(exchange, answer, answer.pieces)

    def _break(self, exchange: Exchange, error: Exception) -> None:
        """End the connection after an unexpected error: no answer will be sent."""
        _log.error("a request has crashed", exc_info=error, extra={"request_id": exchange.request_id.decode("ascii")})
        exchange.drop_body()
        exchange.answered = True
        self._transport.close()
        if exchange.gone:
            self._state.connections.discard(self)

    # ---- answers

    def _reject(self, exchange: Exchange) -> None:
        """Answer that the request was not admitted. Rejections are counted together, and not logged one by one."""
        exchange.rejected = True
        self._refuse(exchange, rejection())

    def _refuse(self, exchange: Exchange, error: Exception) -> None:
        """Answer a request without calling its endpoint; what still arrives of its body is dropped."""
        exchange.drop_body()
        self._reply(exchange, error_answer(error, exchange.request_id))

    def _reply(self, exchange: Exchange, answer: Answer) -> None:
        """Write the answer to a request, and continue with the next. A plain function: it needs no task."""
        serving, head = self._serving, exchange.head
        # A client that gets an error instead of 100 may send the body or not. So the connection ends, even if the body
        # has arrived already: the request must mean the same however it was cut.
        is_uncertain = head.expects_continue and answer.status >= 400
        keep_alive = exchange.keep_alive and not is_uncertain and not serving.lifecycle.draining
        if exchange.gone or self._transport.is_closing():
            # It is counted by what was done, although no client reads the answer.
            exchange.gone = True
        else:
            is_head = head.method == "HEAD"
            request_id = exchange.request_id
            self._write(serving.renderer.render(answer, request_id, close=not keep_alive, without_body=is_head))
        if answer.share is not None:
            self._unread.append(answer.share)
            if not self._paused:
                self._give_back()
        self._answered(exchange, answer.status, keep_alive=keep_alive)

    async def _stream(self, exchange: Exchange, answer: Answer, pieces: AsyncGenerator[bytes, None]) -> None:
        """Write an answer that comes in pieces; each is written when the client has read those before it."""
        serving, head = self._serving, exchange.head
        self._streaming = asyncio.current_task()
        has_read = self._has_read = asyncio.Event()
        status = CLIENT_CLOSED
        try:
            if not exchange.gone and not self._transport.is_closing():
                close = not exchange.keep_alive or serving.lifecycle.draining
                chunked = head.takes_chunks
                self._write([serving.renderer.render_head(answer, exchange.request_id, close=close, chunked=chunked)])
                async for piece in pieces:
                    self._write(chunk_of(piece) if chunked else [piece])
                    if self._paused:
                        # If the client stops reading, the end of the stall ends this wait.
                        has_read.clear()
                        await has_read.wait()
                if chunked:
                    self._write([LAST_CHUNK])
                status = answer.status
        except Exception as error:  # noqa: BLE001 - whatever it was
            # Its head is sent already: the client can only notice that the end is missing.
            _log.error("an answer failed", exc_info=error, extra={"request_id": exchange.request_id.decode("ascii")})
            status = 500
        finally:
            self._streaming = None
            await pieces.aclose()
            if answer.share is not None:
                answer.share.release()
            if status != answer.status:
                exchange.gone = True
                self._transport.close()
            self._answered(exchange, status, keep_alive=exchange.keep_alive and not serving.lifecycle.draining)

    def _answered(self, exchange: Exchange, status: int, *, keep_alive: bool) -> None:
        """Count the answer to a request, and continue with the next."""
        serving, head = self._serving, exchange.head
        exchange.answered = True
        route = serving.routes.name_of(head.path)
        if exchange.rejected:
            serving.gate.count_rejected(route)
        else:
            seconds = time.perf_counter() - exchange.began
            serving.log.answered(exchange.request_id, head.method, head.path, route, status, seconds, exchange.address)
        if exchange.gone:
            self._state.connections.discard(self)
        elif not keep_alive:
            self._finish()
        elif exchange.whole:
            self._next()

    def _fail(self, error: Exception) -> None:
        """Answer an error, even to bytes that are no request, and end the connection: it is unknown where the next
        request begins.
        """
        serving, exchange = self._serving, self._exchange
        if exchange is None:
            head, request_id = Head("-", "-", b"", {}), serving.ids.of(None)
            exchange = self._exchange = Exchange(head, serving.routes.rest, request_id, self._peer, serving.budget)
        exchange.keep_alive = exchange.whole = False
        if exchange.answered:
            self._finish()
        else:
            self._refuse(exchange, self._fault_of(exchange) or error)
