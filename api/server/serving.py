"""What the connections of a process share: the endpoints and the gate before them, and everything else by ASGI."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Protocol

from litestar.types import ASGIApp, Receive, Scope, Send

from api.http.access_log import AccessLog
from api.http.by_method import ByMethod
from api.http.endpoint import Reply
from api.http.head import Head
from api.http.proxies import TrustedProxies
from api.http.request import Request
from api.http.request_ids import RequestIds
from api.http.response import Renderer
from api.http.routes import Routes
from api.lifecycle import Lifecycle
from api.overload.gate import Gate
from api.overload.memory_budgets import BodyBudget
from api.server.connections import Connections


class Route(Protocol):
    """What answers the requests for a path: an endpoint, or an ASGI application."""

    body_limit: int

    def check(self, head: Head) -> None:
        """See from the head alone whether the request can be served.

        Raises:
            Problem: it cannot.
        """

    def user_of(self, head: Head) -> str | None:
        """Whose request this is; None where that does not matter.

        Raises:
            Problem: 401.
        """

    def begin(self, request: Request, body: bytes, reply: Reply) -> None:
        """Answer a request that passed `check`, whatever comes: `reply` is called once, at once or later."""


class Serving:
    """What the connections of a process share."""

    def __init__(  # noqa: PLR0913 - the parts of a server
        self,
        *,
        endpoints: Mapping[str, Route],
        patterns: Mapping[str, ByMethod],
        rest: Route,
        routes: Routes,
        gate: Gate,
        budget: BodyBudget,
        log: AccessLog,
        ids: RequestIds,
        proxies: TrustedProxies,
        lifecycle: Lifecycle,
        request_timeout_s: float,
        connections: Connections,
        renderer: Renderer,
        tls: ssl.SSLContext | None,
        stage: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        self.endpoints = endpoints
        self.patterns = patterns
        self.rest = rest
        self.routes = routes
        self.gate = gate
        self.budget = budget
        self.log = log
        self.ids = ids
        self.proxies = proxies
        self.lifecycle = lifecycle
        self.request_timeout_s = request_timeout_s
        self.connections = connections
        self.renderer = renderer
        self.tls = tls
        self.stage = stage
        """Counts for how many seconds a request was in a stage."""

    def route_of(self, head: Head) -> Route | None:
        """What answers a request; None: what is there for all other paths."""
        route = self.endpoints.get(head.path)
        if route is None and (pattern := self.routes.pattern_of(head.path)) is not None:
            return self.patterns[pattern].of(head)
        return route


class Application:
    """The application as uvicorn loads it: an ASGI application, and what our own protocol needs to go without ASGI."""

    def __init__(self, asgi: ASGIApp, serving: Serving) -> None:
        self._asgi = asgi
        self.serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's lifespan."""
        await self._asgi(scope, receive, send)
