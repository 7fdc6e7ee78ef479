"""How uvicorn runs an api process: its configuration, and the order in which the process ends.

On SIGTERM readiness fails first; after a delay, in which load balancers look elsewhere, uvicorn stops accepting; then
it waits for the requests under way.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from math import ceil
from types import FrameType

import uvicorn
from litestar.types import ASGIApp

from api.app import create_app
from api.lifecycle import Lifecycle
from api.server.connections import raise_file_limit
from api.server.direct import DirectProtocol
from api.services import ApiSettings, Services, load_settings
from protocol import collector
from protocol.logs import configure

KEEP_ALIVE_S = 75
"""How long an idle connection is kept; longer than load balancers usually keep theirs."""

MIN_BACKLOG = 2048
"""Clients that may have connected and not been taken yet, at least; uvicorn's own number."""

HEADERS = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
]
"""What every answer has, also those that uvicorn gives by itself to what is no HTTP."""


def build() -> ASGIApp:
    """The application of this process; uvicorn calls it in every process that it starts."""
    settings = load_settings()
    configure(settings.log.log_level)
    lifecycle = Lifecycle()
    fail_readiness_first(lifecycle, settings.http.drain_delay_s)
    services = Services(settings, lifecycle)
    services.door.max_connections = raise_file_limit(settings.http.max_connections)
    app = create_app(services)
    collector.settle()
    return app


def fail_readiness_first(lifecycle: Lifecycle, delay_s: float) -> None:
    """Put a step before the SIGTERM handler that is set (uvicorn's): mark the process as draining, then wait.

    A second signal ends the wait.
    """
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        return
    set_before: Callable[[int, FrameType | None], object] = stop
    loop = asyncio.get_running_loop()

    def drain(number: int, frame: FrameType | None) -> None:
        first = not lifecycle.draining
        lifecycle.draining = True
        if first and delay_s:
            loop.call_soon_threadsafe(loop.call_later, delay_s, set_before, number, None)
        else:
            set_before(number, frame)

    signal.signal(signal.SIGTERM, drain)


def configuration(settings: ApiSettings, processes: int) -> uvicorn.Config:
    """Uvicorn's configuration."""
    return uvicorn.Config(
        "api.server.uvicorn_config:build",
        factory=True,
        host=settings.http.host,
        port=settings.http.port,
        workers=processes,
        loop="uvloop",
        http=DirectProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        ssl_certfile=settings.http.tls_cert or None,
        ssl_keyfile=settings.http.tls_key or None,
        server_header=False,
        headers=HEADERS,
        proxy_headers=bool(settings.http.trusted_proxies),
        forwarded_allow_ips=settings.http.trusted_proxies or None,
        # Where the queue of a listening socket is full, connecting takes seconds. The system has a limit of its own.
        backlog=max(settings.http.max_connections, MIN_BACKLOG),
        timeout_keep_alive=KEEP_ALIVE_S,
        # On SIGHUP a new process takes over when it is ready, for which it waits as long as the first one may.
        timeout_worker_healthcheck=ceil(settings.http.startup_timeout_s),
        timeout_graceful_shutdown=ceil(settings.http.drain_timeout_s),
    )
