"""The outermost layer: gives every request its id, counts it and logs it."""

from __future__ import annotations

import logging
import secrets
import time
from itertools import count

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.door import Door
from api.http import CLIENT_CLOSED
from api.metrics import Metrics
from api.routes import REQUEST_ID, route_of

_log = logging.getLogger("api.access")


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, metrics: Metrics, access_log: str, door: Door) -> None:
        self._app = app
        self._door = door
        self._metrics = metrics
        self._access_log = access_log
        self._prefix = secrets.token_hex(6)
        self._counter = count(1)

    def _id(self, scope: HTTPScope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and REQUEST_ID.match(value):
                return value
        return f"{self._prefix}-{next(self._counter):x}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's lifespan."""
        if scope["type"] == ScopeType.HTTP:
            await self._serve(scope, receive, send)
        else:
            # What the server hands on to every connection.
            scope["state"]["door"] = self._door
            await self._app(scope, receive, send)

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = self._id(scope)
        state = scope["state"]
        state["request_id"] = request_id.decode("ascii")
        status = CLIENT_CLOSED

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        path = scope["path"]
        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request(route_of(path), status, seconds)
            if self._access_log == "all" or (self._access_log == "errors" and status >= 400):
                self._log(scope, status, seconds)

    def _log(self, scope: HTTPScope, status: int, seconds: float) -> None:
        client = scope.get("client")
        _log.log(
            logging.WARNING if status >= 500 else logging.INFO,
            "request",
            extra={
                "request_id": scope["state"]["request_id"],
                "method": scope["method"],
                "path": scope["path"][:256],
                "status": status,
                "ms": round(seconds * 1000, 2),
                "client": client[0] if client else None,
            },
        )
