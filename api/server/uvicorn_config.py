"""How uvicorn runs an api process: its configuration, what this server relies on in it, and the order in which it ends.

On SIGTERM readiness fails first. After a delay, in which load balancers choose other processes, uvicorn stops
accepting; then it waits for the running requests.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Callable
from math import ceil
from types import FrameType
from typing import cast

import uvicorn
from uvicorn.server import ServerState

from api.lifecycle import Lifecycle
from api.server.connection import Connection
from protocol.settings import HttpSettings, SettingsError

MIN_BACKLOG = 2048
"""Clients that may have connected and not been accepted yet, at least; uvicorn's own number."""

_RELIED_ON = ("connections", "tasks")
"""Sets of uvicorn's state of a server. At its end uvicorn calls `shutdown` of the connections, waits until they are
gone, then waits for the tasks, and cancels those that remain."""


def check_uvicorn() -> None:
    """Check that uvicorn has what this server relies on.

    Raises:
        SettingsError: it does not.
    """
    missing = [name for name in _RELIED_ON if not isinstance(getattr(ServerState(), name, None), set)]
    if "http" not in inspect.signature(uvicorn.Config).parameters:
        missing.append("http")
    if missing:
        names = " and ".join(missing)
        raise SettingsError(f"uvicorn {uvicorn.__version__} cannot run the api: it has no {names} as known here")


def fail_readiness_first(lifecycle: Lifecycle, delay_s: float) -> None:
    """Add a step before the installed SIGTERM handler (uvicorn's): mark the process as draining, then wait.

    A second signal ends the wait. The event loop calls the handler between two callbacks; it does not interrupt one.
    """
    stop, loop = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop()
    if not callable(stop):
        return
    set_before: Callable[[int, FrameType | None], object] = stop

    def drain() -> None:
        first = not lifecycle.draining
        lifecycle.draining = True
        loop.call_later(delay_s if first else 0.0, set_before, signal.SIGTERM, None)

    loop.add_signal_handler(signal.SIGTERM, drain)


def configuration(settings: HttpSettings, application: str, processes: int) -> uvicorn.Config:
    """Uvicorn's configuration. `application` names the function that makes the application of each process.

    TLS is not part of it: the connections do that themselves (`api.server.tls`).
    """
    return uvicorn.Config(
        application,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=processes,
        loop="uvloop",
        http=cast("type[asyncio.Protocol]", Connection),
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        # If the queue of a listening socket is full, connecting takes seconds. The system has a limit of its own.
        backlog=max(settings.max_connections, MIN_BACKLOG),
        # On SIGHUP a new process takes over when it is ready. Uvicorn waits for that as long as for the first one.
        timeout_worker_healthcheck=ceil(settings.startup_timeout_s),
        timeout_graceful_shutdown=ceil(settings.drain_timeout_s),
    )
