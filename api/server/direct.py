"""The direct way: a request that is there whole goes from its connection to its endpoint, and the answer back.

There is no ASGI in between: no scope, no messages, no router, no middleware. The endpoints are those that Litestar has
under the same paths, and whatever is not as simple goes uvicorn's and Litestar's way to them: a body that is still on
its way, a request behind another on its connection, `Expect`, an upgrade, HTTP/1.0, another method.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http.access_log import Observer
from api.http.endpoint import CLIENT_CLOSED, LARGE_ANSWER, Endpoint, Incoming
from api.http.request_ids import RequestIds
from api.http.response import Answer
from api.server.connections import Cycle, GuardedProtocol

Headers = Sequence[tuple[bytes, bytes]]


class DirectWay:
    """What the connections of a process share: the endpoints by path, and what is known of every answer."""

    def __init__(
        self, endpoints: Iterable[Endpoint], observer: Observer, ids: RequestIds, trusted_proxies: str = ""
    ) -> None:
        self.endpoints = {endpoint.path.encode(): endpoint for endpoint in endpoints}
        self.observer = observer
        self.ids = ids
        self._trusted = ProxyHeadersMiddleware(_nobody, trusted_proxies).trusted_hosts if trusted_proxies else None
        self._defaults: Headers = ()
        self._heads: dict[tuple[int, bytes], bytes] = {}

    def render(self, answer: Answer, body: bytes, request_id: bytes, defaults: Headers, *, close: bool) -> bytes:
        """The head of an answer, and `body`. `defaults` are the headers of all answers: another list once a second."""
        if defaults is not self._defaults:
            self._defaults = defaults
            self._heads.clear()
        kind = answer.status, answer.media_type
        head = self._heads.get(kind)
        if head is None:
            head = self._heads[kind] = _head(*kind, defaults)
        more = b"".join([b"%b: %b\r\n" % header for header in answer.headers]) if answer.headers else b""
        end = b"connection: close\r\n\r\n" if close else b"\r\n"
        return b"%b%d\r\n%bx-request-id: %b\r\n%b%b" % (head, len(answer.body), more, request_id, end, body)

    def client(self, peer: tuple[str, int] | None, headers: Headers) -> str | None:
        """The address of a request's sender, where a trusted proxy names it, otherwise that of the connection."""
        host = peer[0] if peer is not None else None
        if self._trusted is not None and host in self._trusted:
            named = b", ".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
            return (self._trusted.get_trusted_client_address(named)[0] if named else "") or host
        return host


async def _nobody(*_: Any) -> None:
    raise AssertionError("nothing goes through it")


def _head(status: int, media_type: bytes, defaults: Headers) -> bytes:
    lines = [b"%b: %b\r\n" % header for header in (*defaults, (b"content-type", media_type))]
    return b"".join((STATUS_LINE[status], *lines, b"content-length: "))


class _NobodyWaits:
    """In place of the event that uvicorn sets when a connection is lost."""

    def set(self) -> None:
        """Tell nobody."""


class Exchange:
    """One request and its answer; for uvicorn, what its connection is about."""

    __slots__ = ("body", "disconnected", "endpoint", "keep_alive", "response_complete", "response_started", "scope")

    message_event = _NobodyWaits()

    def __init__(self, endpoint: Endpoint, headers: Headers) -> None:
        self.endpoint = endpoint
        self.scope: dict[str, Any] = {"path": endpoint.path, "headers": headers}
        self.body = b""
        self.keep_alive = True
        self.disconnected = self.response_started = self.response_complete = False


class DirectProtocol(GuardedProtocol):
    """A connection whose requests go the direct way where they can."""

    way: DirectWay

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take a connection."""
        self.way = self.app_state["direct"]
        self.arriving: Exchange | None = None
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes. What is not there whole after them goes the usual way."""
        super().data_received(data)
        if self.arriving is not None and not self.transport.is_closing():
            self._lead_the_usual_way(self.arriving)
            if self.waiting:
                # It was refused: what comes next is the rest of it, and has a time to come.
                self._still_waiting(0)

    def _lead_the_usual_way(self, arrived: Exchange) -> None:
        self.arriving = None
        self._make_scope()
        HttpToolsProtocol.on_headers_complete(self)
        if arrived.body:
            self.on_body(arrived.body)

    def on_message_begin(self) -> None:
        """Begin with a head. Nobody may need a scope."""
        self.between_messages = False
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.scope = None  # type: ignore[assignment]  # made when it is needed

    def _make_scope(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.scope["headers"] = headers
        self.url, self.headers, self.expect_100_continue = url, headers, expects

    def on_headers_complete(self) -> None:
        """Choose the way."""
        endpoint = self.way.endpoints.get(self.url)
        if endpoint is not None and self._is_simple():
            self.head_has_come()
            self.arriving = Exchange(endpoint, self.headers)
        else:
            self._make_scope()
            super().on_headers_complete()

    def _is_simple(self) -> bool:
        parser = self.parser
        before: Cycle | None = self.cycle
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and (before is None or before.response_complete)
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
        )

    def on_body(self, body: bytes) -> None:
        """Take bytes of a body. One of many small chunks goes the usual way, where they are not joined one by one."""
        arrived = self.arriving
        if arrived is not None:
            if not arrived.body:
                arrived.body = body
                return
            self._lead_the_usual_way(arrived)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Start a request that is there whole."""
        self.message_has_come()
        arrived, self.arriving = self.arriving, None
        if arrived is None:
            super().on_message_complete()
            return
        self.cycle = arrived  # type: ignore[assignment]  # it has what uvicorn looks at
        # Until the next one begins: these bytes are no head of a request.
        self.scope = arrived.scope  # type: ignore[assignment]  # to be compared only
        self.enter(arrived, partial(self._start, arrived))

    def _start(self, exchange: Exchange) -> None:
        task = self.loop.create_task(self._serve(exchange))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _serve(self, exchange: Exchange) -> None:
        started = time.perf_counter()
        way, headers = self.way, exchange.scope["headers"]
        request_id = way.ids.of(next((value for name, value in headers if name == b"x-request-id"), None))
        peer = self.client
        request = Incoming(headers, peer[0] if peer is not None else "unknown", request_id, whole=exchange.body)
        exchange.body = b""
        status = CLIENT_CLOSED
        try:
            answer = await exchange.endpoint.answer(request)
            if answer is not None:
                status = answer.status
                await self._answer(exchange, answer, request_id)
        except BaseException:
            self.transport.close()
            raise
        finally:
            seconds = time.perf_counter() - started
            path = exchange.endpoint.path
            if way.observer.count(path, status, seconds):
                way.observer.log(request_id, "POST", path, status, seconds, way.client(peer, headers))

    async def _answer(self, exchange: Exchange, answer: Answer, request_id: bytes) -> None:
        try:
            if self.flow.write_paused:
                await self.flow.drain()
            if exchange.disconnected:
                return
            exchange.response_started = True
            body = answer.body
            # A large one is not copied: it may wait here for long.
            large = len(body) > LARGE_ANSWER
            defaults = self.server_state.default_headers
            self.transport.write(
                self.way.render(
                    answer, b"" if large else bytes(body), request_id, defaults, close=not exchange.keep_alive
                )
            )
            if large:
                self.transport.write(body)
            if large and answer.share is not None:
                # It is written at the end of this turn; what the kernel does not take then waits for the client.
                await asyncio.sleep(0)
                await self.flow.drain()
        finally:
            if answer.share is not None:
                answer.share.release()
        exchange.response_complete = True
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()
