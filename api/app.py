"""The Litestar application of one api process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from litestar import Litestar, Request, Response, asgi
from litestar.exceptions import HTTPException
from litestar.handlers import ASGIRouteHandler
from litestar.routes import HTTPRoute

from api.auth.endpoints import Login, Logout
from api.auth.user_endpoints import AddUser, ChangeUser, GetUser, ListUsers, RemoveUser
from api.batch.change_endpoints import Delete, Increment, Touch, Write
from api.batch.read_endpoint import Read
from api.batch.steps import LongWork
from api.console import files
from api.console.calls import ConsoleLogin, ConsoleLogout, FromConsole, SessionOf
from api.http.access_log import AccessLog
from api.http.asgi import Outermost, handler
from api.http.endpoint import Endpoint, Route, Served, error_answer
from api.http.head import Head
from api.http.problems import MEDIA_TYPE, Kind, Problem
from api.http.proxies import TrustedProxies
from api.http.rejection import Rejections
from api.http.request_ids import RequestIds
from api.http.response import Renderer
from api.http.routes import Routes
from api.keys.endpoints import DeleteKey, GetKey, PutKey
from api.lifecycle import Lifecycle
from api.ops import documentation, health, queue_view, scrape
from api.ops.status import Status
from api.ops.traced import Traced
from api.processes import end_with_parent
from api.scan.endpoint import Scan
from api.scan.export import Export
from api.scan.import_endpoint import Importing
from api.server.asgi_route import AsgiRoute
from api.server.connections import Connections, raise_file_limit
from api.server.serving import Application, Serving
from api.server.tls import server_context
from api.server.uvicorn_config import fail_readiness_first
from api.services import Services, load_settings
from protocol import collector
from protocol.logs import configure

USER_ENDPOINTS = (ListUsers, AddUser, GetUser, ChangeUser, RemoveUser)


def endpoints(services: Services) -> list[Endpoint]:
    """The routes under `/api/`."""
    limits = services.settings.batch
    base = (services.authenticator, limits)
    long_work = LongWork(limits.request_timeout_s, lambda: services.dispatcher.waiting > 0)
    batch = (services.batches, services.idempotency, services.metrics, long_work, *base)
    return [
        Login(services.accounts, services.tokens, services.passwords, services.throttle, *base),
        Logout(services.accounts, *base),
        Write(*batch),
        Read(services.answers, *batch),
        Delete(*batch),
        Touch(*batch),
        Increment(*batch),
        Scan(services.reading, long_work, *base),
        Importing(services.metrics.scans.lines, *batch),
        # The other half of the time is for the client, to read the last line.
        Export(services.reading, services.lifecycle, services.settings.http.drain_timeout_s / 2, *base),
        Status(
            services.shard_status,
            services.reports,
            lambda: queue_view.view(services.settings.redis, services.shard_status.names),
            *base,
        ),
        GetKey(services.answers, *batch),
        PutKey(*batch),
        DeleteKey(*batch),
        *(each(services.accounts, services.passwords, *base) for each in USER_ENDPOINTS),
    ]


def console(services: Services, every: Iterable[Endpoint]) -> list[Served]:
    """The routes under `/console/api/`: the parts of the API that the console's page uses."""
    base = (services.authenticator, services.settings.batch)
    used = [each for each in every if isinstance(each, (Status, Scan, Export, GetKey, PutKey, DeleteKey))]
    return [
        ConsoleLogin(services.accounts, services.tokens, services.passwords, services.throttle, *base),
        ConsoleLogout(Logout(services.accounts, *base), services.authenticator),
        *(FromConsole(each, services.authenticator) for each in (SessionOf(*base), *used)),
    ]


def _unready(services: Services) -> str | None:
    """Why the process should get no requests; None: it should get some."""
    if services.ready:
        return None
    return "draining" if services.lifecycle.draining else "redis or the shards are out of reach"


def _on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    kind = Kind.INTERNAL if error.status_code >= 500 else Kind.INVALID_REQUEST
    return _on_error(request, Problem(kind, error.detail or kind.title))


def _on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    answer = error_answer(error, request.headers.get("x-request-id", "").encode())
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(bytes(answer.body), status_code=answer.status, media_type=MEDIA_TYPE, headers=headers)


class Parts:
    """The application and its parts. `asgi` is complete: any ASGI server can run it."""

    def __init__(self, services: Services) -> None:
        http = services.settings.http
        of_the_api = endpoints(services)
        every: list[Served] = [*of_the_api, *console(services, of_the_api)]
        if services.spans is not None:
            ratio = services.settings.traces.traces_ratio
            every = [Traced(endpoint, services.spans, ratio) for endpoint in every]
        serve = handler(self._route_of, services.budget, http.body_timeout_s, http.send_timeout_s)
        paths = dict.fromkeys(endpoint.path for endpoint in every if "{" not in endpoint.path)
        # The handlers of these routes do not change the scope, so Litestar need not copy and compare it.
        litestar = _litestar(services, [asgi(path, copy_scope=False, name=path)(serve) for path in paths])
        self.routes = Routes(every, AsgiRoute(litestar), _methods(litestar))
        self.log = AccessLog(services.metrics.request, http.access_log, services.problems.add)
        self.ids = RequestIds()
        self.proxies = TrustedProxies(http.trusted_proxies)
        self.asgi = Outermost(
            litestar, serve, self.routes, self.log, self.ids, self.proxies, lambda: services.start_failure
        )

    def _route_of(self, head: Head) -> Route:
        return self.routes.of(head)


def _methods(litestar: Litestar) -> dict[str, list[str]]:
    """The methods that Litestar's own handlers answer, for each path."""
    return {route.path: sorted(route.methods) for route in litestar.routes if isinstance(route, HTTPRoute)}


def _litestar(services: Services, of_the_api: list[ASGIRouteHandler]) -> Litestar:
    """Litestar's application; its lifespan runs the background tasks."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with services.running():
            yield

    return Litestar(
        route_handlers=[
            *of_the_api,
            *documentation.routes(services.settings.batch),
            *files.routes(),
            *health.routes(services.shard_health, services.dispatcher.lanes.views, partial(_unready, services)),
            *scrape.routes(services.metrics),
        ],
        lifespan=[lifespan],
        exception_handlers={HTTPException: _on_http_error, Exception: _on_error},
        openapi_config=None,
        logging_config=None,
    )


def build() -> Application:
    """The application of this process, for its own server; uvicorn calls it in every process that it starts."""
    settings = load_settings()
    http = settings.http
    configure(settings.log.log_level)
    lifecycle = Lifecycle()
    fail_readiness_first(lifecycle, http.drain_delay_s)
    end_with_parent()
    services = Services(settings, lifecycle)
    parts = Parts(services)
    renderer = Renderer()
    serving = Serving(
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
        rejections=Rejections(renderer),
        stage=services.metrics.stage,
        tls=server_context(http.tls_cert, http.tls_key) if http.tls_cert else None,
    )
    collector.settle()
    return Application(parts.asgi, serving)
