"""What the connections of a process share: the routes, the gate, and the limits."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from litestar.types import ASGIApp, Receive, Scope, Send

from api.http.access_log import AccessLog
from api.http.proxies import TrustedProxies
from api.http.rejection import Rejections
from api.http.request_ids import RequestIds
from api.http.response import Renderer
from api.http.routes import Routes
from api.lifecycle import Lifecycle
from api.overload.gate import Gate
from api.overload.memory_budgets import BodyBudget
from api.server.connections import Connections


@dataclass(kw_only=True)
class Serving:
    """What the connections of a process share. `stage` counts how many seconds a request was in a stage."""

    routes: Routes
    gate: Gate
    budget: BodyBudget
    log: AccessLog
    ids: RequestIds
    proxies: TrustedProxies
    lifecycle: Lifecycle
    request_timeout_s: float
    connections: Connections
    renderer: Renderer
    rejections: Rejections
    tls: ssl.SSLContext | None
    stage: Callable[[str, float], None]


@dataclass
class Application:
    """The application as uvicorn loads it: an ASGI application, and the parts that our own protocol uses without
    ASGI.
    """

    asgi: ASGIApp
    serving: Serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.asgi(scope, receive, send)
