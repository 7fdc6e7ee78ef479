"""Serves requests that come through an ASGI server, as our own protocol serves those on its connections.

With this module any ASGI server can run the application: slower than `api.server`, and without a gate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.http.access_log import AccessLog
from api.http.endpoint import Route, body_too_large, error_answer, problem_answer
from api.http.fields import collect
from api.http.head import Head
from api.http.problems import Kind, Problem
from api.http.proxies import TrustedProxies
from api.http.request import Request
from api.http.request_ids import RequestIds
from api.http.response import CLIENT_CLOSED, LARGE_BODY, NOT_MODIFIED, Answer, common
from api.http.routes import Routes
from api.overload.memory_budgets import BodyBudget, BodyShare

_END: Any = {"type": "http.response.body", "body": b"", "more_body": False}

AsgiHandler = Callable[[HTTPScope, Receive, Send], Awaitable[None]]


def spelt(scope: HTTPScope) -> str:
    """The path of a request as the client spelt it, if the server tells that; otherwise encoded again."""
    return scope.get("raw_path", b"").decode("latin-1") or quote(scope["path"])


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The request id among the headers of a scope, where `Outermost` and our own protocol put it."""
    return next((value for name, value in headers if name == b"x-request-id"), None)


@dataclass
class Outermost:
    """The layer around the whole application: request ids, paths, the headers of all answers, and the access log.

    `serve` answers requests for patterns, whose paths `app` does not all know. `start_failure` says why the application
    could not start, if it is an expected reason: the server then logs one line instead of a traceback.
    """

    app: ASGIApp
    serve: AsgiHandler
    routes: Routes
    log: AccessLog
    ids: RequestIds
    proxies: TrustedProxies
    start_failure: Callable[[], str | None] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's lifespan."""
        if scope["type"] == ScopeType.HTTP:
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, partial(self._send_lifespan, send))

    async def _send_lifespan(self, send: Any, message: Any) -> None:
        if message["type"] == "lifespan.startup.failed":
            message["message"] = self.start_failure() or message["message"]
        await send(message)

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = self.ids.of(request_id_of(scope["headers"]))
        status = CLIENT_CLOSED

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = list(message["headers"])
                message["headers"] = [*given, *common(given), (b"x-request-id", request_id)]
            await send(message)

        path = spelt(scope)
        address = _sender(scope)
        try:
            fields = collect(scope["headers"])
            self.routes.of(Head(scope["method"], path, scope["query_string"], fields))
            address = self.proxies.client(address, fields.get(b"x-forwarded-for"))
            fields[b"x-request-id"] = request_id
            scope["headers"] = list(fields.items())
            scope["client"] = (address, 0)
            answers = self.app if self.routes.pattern_of(path) is None else self.serve
            await answers(scope, receive, send_with_headers)
        except Problem as problem:
            await send_answer(send_with_headers, problem_answer(problem, request_id))
        finally:
            seconds = time.perf_counter() - began
            self.log.answered(request_id, scope["method"], path, self.routes.name_of(path), status, seconds, address)


def _sender(scope: HTTPScope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def handler(
    find: Callable[[Head], Route], budget: BodyBudget, body_timeout_s: float, send_timeout_s: float
) -> AsgiHandler:
    """An ASGI handler that serves each request with the route that `find` returns."""

    async def serve(scope: HTTPScope, receive: Receive, send: Send) -> None:
        fields = dict(scope["headers"])
        length = fields.get(b"content-length", b"")
        head = Head(scope["method"], spelt(scope), scope["query_string"], fields)
        head.length = int(length) if length.isdigit() else None
        request_id = fields.get(b"x-request-id", b"")
        try:
            endpoint = find(head)
            endpoint.check(head)
            endpoint.user_of(head)
            with budget.share() as held:
                body = await _body(receive, endpoint.body_limit, body_timeout_s, held)
                if body is None:
                    return
                request = Request(
                    head.method,
                    head.path,
                    head.query,
                    fields,
                    address=_sender(scope),
                    request_id=request_id,
                    arrived=time.monotonic(),
                )
                answer = await endpoint.answer(request, body)
        except Exception as error:  # noqa: BLE001 - as for every answer
            answer = error_answer(error, request_id)
        if answer.pieces is None:
            await send_answer(send, answer)
        else:
            await _stream(receive, send, answer, answer.pieces, send_timeout_s)

    return serve


async def _body(receive: Receive, limit: int, timeout_s: float, held: BodyShare) -> bytes | None:
    """The whole body; None: the client has closed the connection.

    Raises:
        Problem: 413, it is larger than `limit`; 408, it has not come within `timeout_s`.
        OverloadedError: other bodies hold the memory.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                piece = message.get("body", b"")
                size += len(piece)
                if size > limit:
                    raise body_too_large(limit)
                held.add(len(piece))
                pieces.append(piece)
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise Problem(Kind.BODY_TIMEOUT, f"the body did not arrive within {timeout_s:g} seconds") from None


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a complete answer, and release its memory when it is sent."""
    length = () if answer.status == NOT_MODIFIED else ((b"content-length", b"%d" % len(answer.body)),)
    try:
        await send(_start(answer, *length))
        large = answer.share is not None and len(answer.body) > LARGE_BODY
        await send({"type": "http.response.body", "body": bytes(answer.body), "more_body": large})
        if large:
            # It is written at the end of this turn; the server delays the next message until the client has read it.
            await asyncio.sleep(0)
            await send(_END)
    finally:
        if answer.share is not None:
            answer.share.release()


async def _stream(
    receive: Receive, send: Send, answer: Answer, pieces: AsyncGenerator[bytes, None], send_timeout_s: float
) -> None:
    """Send the pieces of an answer, each when the server has room for it; stop when the client disconnects.

    If a client reads nothing for `send_timeout_s`, nothing more is sent to it, and it gets no end of the answer.
    """
    writing = asyncio.create_task(_write(send, answer, pieces, send_timeout_s), name="asgi.stream")
    # Only a message reports that the client has disconnected: what is sent then is dropped without an error.
    gone = asyncio.create_task(_gone(receive), name="asgi.gone")
    try:
        await asyncio.wait((writing, gone), return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()
    finally:
        for task in (writing, gone):
            task.cancel()
        await asyncio.gather(writing, gone, return_exceptions=True)
        await pieces.aclose()
        if answer.share is not None:
            answer.share.release()


async def _write(send: Send, answer: Answer, pieces: AsyncGenerator[bytes, None], timeout_s: float) -> None:
    await send(_start(answer))
    async for piece in pieces:
        async with asyncio.timeout(timeout_s):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send(_END)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(answer: Answer, *more: tuple[bytes, bytes]) -> Any:
    headers = [(b"content-type", answer.media_type), *answer.headers, *more]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}
