"""The outermost layer: gives every request its id, counts it and logs it."""

from __future__ import annotations

import logging
import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.http.endpoint import CLIENT_CLOSED
from api.http.request_ids import RequestIds
from api.http.routes import route_of
from api.ops.metrics import Metrics

_log = logging.getLogger("api.access")


class Observer:
    """Counts requests and logs them."""

    def __init__(self, metrics: Metrics, access_log: str) -> None:
        self._metrics = metrics
        self._access_log = access_log

    def count(self, path: str, status: int, seconds: float) -> bool:
        """Count a request that is answered; returns whether it is to be logged."""
        self._metrics.request(route_of(path), status, seconds)
        return self._access_log == "all" or (self._access_log == "errors" and status >= 400)

    def log(self, request_id: bytes, method: str, path: str, status: int, seconds: float, client: str | None) -> None:
        """Write the request's line."""
        _log.log(
            logging.WARNING if status >= 500 else logging.INFO,
            "request",
            extra={
                "request_id": request_id.decode("ascii"),
                "method": method,
                "path": path[:256],
                "status": status,
                "ms": round(seconds * 1000, 2),
                "client": client,
            },
        )


class Edge:
    """Wraps the whole application. `state` is what the server hands on to every connection."""

    def __init__(self, app: ASGIApp, observer: Observer, ids: RequestIds, state: dict[str, object]) -> None:
        self._app = app
        self._observer = observer
        self._ids = ids
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's lifespan."""
        if scope["type"] == ScopeType.HTTP:
            await self._serve(scope, receive, send)
        else:
            scope["state"].update(self._state)
            await self._app(scope, receive, send)

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = self._ids.of(next((value for name, value in scope["headers"] if name == b"x-request-id"), None))
        scope["state"]["request_id"] = request_id.decode("ascii")
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
            if self._observer.count(path, status, seconds):
                client = scope.get("client")
                self._observer.log(
                    request_id, scope["method"], path, status, seconds, client[0] if client is not None else None
                )
