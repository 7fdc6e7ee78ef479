"""How uvicorn runs an api process: its configuration, what is relied on of it, and the order in which it ends.

On SIGTERM readiness fails first; after a delay, in which load balancers look elsewhere, uvicorn stops accepting; then
it waits for the requests under way.
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
"""Clients that may have connected and not been taken yet, at least; uvicorn's own number."""

_RELIED_ON = {"connections": set, "tasks": set}
"""What uvicorn's state of a server has: at its end uvicorn calls `shutdown` of the connections, waits until they are
gone, then for the tasks, which it cancels in the end."""


def check_uvicorn() -> None:
    """See that uvicorn is as this server relies on.

    Raises:
        SettingsError: it is not.
    """
    state = ServerState()
    missing = [name for name, kind in _RELIED_ON.items() if not isinstance(getattr(state, name, None), kind)]
    if "http" not in inspect.signature(uvicorn.Config).parameters:
        missing.append("http")
    if missing:
        names = " and ".join(missing)
        raise SettingsError(f"uvicorn {uvicorn.__version__} cannot run the api: it has no {names} as known here")


def fail_readiness_first(lifecycle: Lifecycle, delay_s: float) -> None:
    """Put a step before the SIGTERM handler that is set (uvicorn's): mark the process as draining, then wait.

    A second signal ends the wait. The event loop calls the handler, between two callbacks, and not the signal itself.
    """
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        return
    set_before: Callable[[int, FrameType | None], object] = stop
    loop = asyncio.get_running_loop()

    def drain() -> None:
        first = not lifecycle.draining
        lifecycle.draining = True
        loop.call_later(delay_s if first else 0.0, set_before, signal.SIGTERM, None)

    loop.add_signal_handler(signal.SIGTERM, drain)


def configuration(settings: HttpSettings, application: str, processes: int) -> uvicorn.Config:
    """Uvicorn's configuration. `application` names what makes the application of each process.

    TLS is no part of it: the connections do that themselves (`api.server.tls`).
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
        # Where the queue of a listening socket is full, connecting takes seconds. The system has a limit of its own.
        backlog=max(settings.max_connections, MIN_BACKLOG),
        # On SIGHUP a new process takes over when it is ready, for which it waits as long as the first one may.
        timeout_worker_healthcheck=ceil(settings.startup_timeout_s),
        timeout_graceful_shutdown=ceil(settings.drain_timeout_s),
    )
