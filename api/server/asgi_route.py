"""The way from our own protocol to an ASGI application: for everything that is no endpoint of the API."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar.types import ASGIApp, HTTPScope, Message

from api.http.endpoint import Route, body_too_large, error_answer
from api.http.head import Head
from api.http.request import Request
from api.http.response import Answer


class AsgiRoute(Route):
    """Asks an ASGI application for answers, as an endpoint gives them."""

    body_limit = 64 * 1024
    """Bytes of the largest body: pages, health and metrics need none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def check(self, head: Head) -> None:
        """See whether the body may be taken; everything else is the application's to say.

        Raises:
            Problem: 413.
        """
        if head.length is not None and head.length > self.body_limit:
            raise body_too_large(self.body_limit)

    def user_of(self, _: Head) -> str | None:
        """Nobody: what is asked for here needs no token."""
        return None

    async def answer(self, request: Request, body: bytes) -> Answer:
        """Ask the application, and keep what it answers until it is complete."""
        exchange = _Exchange(body)
        try:
            await self._app(_scope(request), exchange.receive, exchange.send)
            return exchange.answer()
        except Exception as error:  # noqa: BLE001 - as for every answer
            return error_answer(error, request.request_id)


def _scope(request: Request) -> HTTPScope:
    headers = {**request.headers, b"x-request-id": request.request_id}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        # The whole answer to a GET, without its body, is the answer to a HEAD.
        "method": "GET" if request.method == "HEAD" else request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode("ascii"),
        "query_string": request.query,
        "root_path": "",
        "headers": list(headers.items()),
        "client": (request.address, 0),
        "server": None,
        "state": {},
        "extensions": None,
    }
    return scope  # type: ignore[return-value]  # Litestar adds the rest


class _Exchange:
    """The messages of one request."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._start: Message | None = None
        self._pieces: list[bytes] = []
        self._complete = asyncio.Event()

    async def receive(self) -> Any:
        """The body in one message, and the end of the connection once the answer is complete."""
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._complete.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message of the answer."""
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._pieces.append(message["body"])
            if not message["more_body"]:
                self._complete.set()

    def answer(self) -> Answer:
        """The whole answer."""
        if self._start is None or self._start["type"] != "http.response.start":
            raise RuntimeError("the application has not answered")
        media_type, more = b"application/octet-stream", []
        for name, value in self._start["headers"]:
            match name.lower():
                case b"content-type":
                    media_type = value
                case b"content-length":
                    pass
                case lower:
                    more.append((lower, value))
        return Answer(self._start["status"], media_type, b"".join(self._pieces), tuple(more))
