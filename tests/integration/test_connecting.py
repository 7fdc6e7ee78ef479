"""Thousands of clients that connect in the same moment, as after an outage of the api."""

import resource
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.integration.processes import ApiProcess

CLIENTS = 2500
"""More connections than a server's backlog holds by default."""

SOON_S = 5.0
"""A client retries a connection that was not accepted twice in this time."""

_SYSTEM_LIMIT = Path("/proc/sys/net/core/somaxconn")


@contextmanager
def files(count: int) -> Iterator[None]:
    """Raise this process's limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            pytest.skip(f"no more than {hard} open files here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_thousands_of_clients_can_connect_while_the_api_is_busy(cluster: Cluster) -> None:
    if int(_SYSTEM_LIMIT.read_text()) < CLIENTS:
        pytest.skip("the system allows fewer waiting connections")
    with ApiProcess(cluster, {}) as api, files(CLIENTS + 500), ExitStack() as stack:
        address = urlsplit(api.base_url)
        api.signal(signal.SIGSTOP)
        stack.callback(api.signal, signal.SIGCONT)
        connecting = select.epoll()
        stack.enter_context(connecting)
        clients = {}
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address.hostname, address.port))
            clients[client.fileno()] = client
            connecting.register(client, select.EPOLLOUT | select.EPOLLONESHOT)
        connected = 0
        while connected < CLIENTS:
            ready = connecting.poll(SOON_S)
            assert ready, f"{connected} have connected"
            connected += len(ready)
        assert {client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for client in clients.values()} == {0}
        api.signal(signal.SIGCONT)
        assert httpx.get(f"{api.base_url}/health/live", trust_env=False, timeout=30).status_code == 200
