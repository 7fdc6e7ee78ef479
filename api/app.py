"""The Litestar application of one api process."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import litestar_offline_docs
import orjson
from litestar import Litestar, MediaType, Request, Response, asgi, get
from litestar.exceptions import HTTPException
from litestar.handlers import ASGIRouteHandler
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp

from api.auth.endpoints import Login, Logout
from api.batch.endpoints import Delete, Read, Write
from api.batch.steps import LongWork
from api.http.access_log import AccessLog
from api.http.asgi import Outermost, handler
from api.http.endpoint import Endpoint
from api.http.problems import MEDIA_TYPE, Kind, Problem, retry_later
from api.http.proxies import TrustedProxies
from api.http.request_ids import RequestIds
from api.http.response import Renderer
from api.http.routes import Routes
from api.lifecycle import Lifecycle
from api.ops import openapi
from api.ops.metrics import MEDIA_TYPE as METRICS_MEDIA_TYPE
from api.server.asgi_route import AsgiRoute
from api.server.connections import Connections, raise_file_limit
from api.server.serving import Application, Serving
from api.server.tls import server_context
from api.server.uvicorn_config import fail_readiness_first
from api.services import Services, load_settings
from protocol import collector
from protocol.logs import configure
from protocol.version import VERSION

_log = logging.getLogger(__name__)

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>tarant-kv</title><link rel="stylesheet" href="/schema/files/swagger-ui.css"></head>
<body><div id="page"></div>
<script src="/schema/files/swagger-ui-bundle.js"></script>
<script src="/schema/page.js"></script></body>
</html>
"""
_PAGE_SCRIPT = """SwaggerUIBundle({ url: "/schema/openapi.json", dom_id: "#page", deepLinking: true });\n"""

# The page runs scripts and asks for data from here alone, and nobody may frame it. Its library sets styles in place.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_BY_STATUS = {404: Kind.NOT_FOUND, 405: Kind.METHOD_NOT_ALLOWED, 400: Kind.INVALID_REQUEST}


def endpoints(services: Services) -> list[Endpoint]:
    """The routes under `/api/`."""
    limits = services.settings.batch
    base = (services.authenticator, limits)
    long_work = LongWork(limits.request_timeout_s)
    batch = (services.batches, services.idempotency, services.metrics, long_work, *base)
    return [
        Login(services.accounts, services.tokens, services.passwords, services.throttle, *base),
        Logout(services.accounts, *base),
        Write(*batch),
        Read(services.answers, *batch),
        Delete(*batch),
    ]


def _registered(endpoint: Endpoint, services: Services) -> ASGIRouteHandler:
    """An endpoint as a route of Litestar's, which any ASGI server can reach it by."""
    serve = handler(endpoint, services.budget, services.settings.http.body_timeout_s)

    async def route(scope: Any, receive: Any, send: Any) -> None:
        await serve(scope, receive, send)

    # Nothing behind these routes changes the scope, so that Litestar need not copy and compare it.
    return asgi(endpoint.path, copy_scope=False, name=endpoint.path)(route)


def _static() -> Path:
    return Path(str(files(litestar_offline_docs))) / "static"


def _files() -> list[str]:
    return [f"/schema/files/{file.name}" for file in _static().iterdir() if file.is_file()]


def _documentation(services: Services) -> list[Any]:
    document = orjson.dumps(openapi.build(services.settings.batch))

    @get("/schema/openapi.json", media_type="application/json", include_in_schema=False, sync_to_thread=False)
    def schema() -> bytes:
        return document

    policy = {"content-security-policy": _PAGE_POLICY}

    @get("/schema", media_type=MediaType.HTML, response_headers=policy, include_in_schema=False, sync_to_thread=False)
    def page() -> str:
        return _PAGE

    @get("/schema/page.js", media_type="text/javascript", include_in_schema=False, sync_to_thread=False)
    def script() -> str:
        return _PAGE_SCRIPT

    static = _static()
    return [schema, page, script, create_static_files_router("/schema/files", [static], include_in_schema=False)]


def _operations(services: Services) -> list[Any]:
    shards = list(services.dispatcher.admission.chunks)

    @get("/health/live", include_in_schema=False, sync_to_thread=False)
    def live() -> dict[str, str]:
        return {"status": "live", "version": VERSION}

    @get("/health/ready", include_in_schema=False, sync_to_thread=False)
    def ready() -> dict[str, Any]:
        if services.ready:
            return {"status": "ready", "shards": shards}
        reason = "draining" if services.lifecycle.draining else "redis or the shards are out of reach"
        raise retry_later(Kind.NOT_READY, reason)

    @get("/metrics", media_type=METRICS_MEDIA_TYPE, include_in_schema=False, sync_to_thread=False)
    def metrics() -> bytes:
        return services.metrics.render()

    return [live, ready, metrics]


def _request_id(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("x-request-id", "")


def _problem_response(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    return Response(
        problem.body(_request_id(request)),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


def _on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    kind = _BY_STATUS.get(error.status_code, Kind.INTERNAL if error.status_code >= 500 else Kind.INVALID_REQUEST)
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return _problem_response(request, Problem(kind, error.detail or kind.title, headers=headers))


def _on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _log.error("a request failed", exc_info=error, extra={"request_id": _request_id(request)})
    return _problem_response(
        request, Problem(Kind.INTERNAL, "something went wrong here; the request id finds it in the log")
    )


class Parts:
    """The application and what it is made of. `asgi` is whole: any ASGI server can run it."""

    def __init__(self, services: Services) -> None:
        http = services.settings.http
        self.endpoints = endpoints(services)
        self.litestar = _litestar(services, self.endpoints)
        self.routes = Routes((*(route.path for route in self.litestar.routes), *_files()))
        self.log = AccessLog(services.metrics, http.access_log)
        self.ids = RequestIds()
        self.proxies = TrustedProxies(http.trusted_proxies)
        self.asgi = Outermost(self.litestar, self.routes, self.log, self.ids, self.proxies)


def _litestar(services: Services, served: list[Endpoint]) -> Litestar:
    """Litestar's application, with the background tasks run by its lifespan."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with services.running():
            yield

    return Litestar(
        route_handlers=[
            *(_registered(endpoint, services) for endpoint in served),
            *_documentation(services),
            *_operations(services),
        ],
        lifespan=[lifespan],
        exception_handlers={
            Problem: _problem_response,
            HTTPException: _on_http_error,
            Exception: _on_error,
        },
        openapi_config=None,
        logging_config=None,
    )


def create_app(services: Services) -> ASGIApp:
    """The application for any ASGI server."""
    return Parts(services).asgi


def build() -> Application:
    """The application of this process and its own server; uvicorn calls it in every process that it starts."""
    settings = load_settings()
    http = settings.http
    configure(settings.log.log_level)
    lifecycle = Lifecycle()
    fail_readiness_first(lifecycle, http.drain_delay_s)
    services = Services(settings, lifecycle)
    parts = Parts(services)
    renderer = Renderer()
    serving = Serving(
        endpoints={endpoint.path: endpoint for endpoint in parts.endpoints},
        rest=AsgiRoute(parts.litestar),
        routes=parts.routes,
        gate=services.gate,
        budget=services.budget,
        log=parts.log,
        ids=parts.ids,
        proxies=parts.proxies,
        lifecycle=lifecycle,
        request_timeout_s=settings.batch.request_timeout_s,
        connections=Connections(http, raise_file_limit(http.max_connections), renderer),
        renderer=renderer,
        tls=server_context(http.tls_cert, http.tls_key) if http.tls_cert else None,
    )
    collector.settle()
    return Application(parts.asgi, serving)
