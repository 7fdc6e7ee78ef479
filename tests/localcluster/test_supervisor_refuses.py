"""How the command line and a stop handle a supervisord that refuses a call or does not end."""

import socketserver
import subprocess
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest

from localcluster import commands, leftovers
from localcluster.cluster import Cluster, ClusterError
from localcluster.config import for_tests

Serve = Callable[[str], None]


class Handler(SimpleXMLRPCRequestHandler):
    disable_nagle_algorithm = False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
        pass


class Server(socketserver.UnixStreamServer, SimpleXMLRPCDispatcher):
    """A supervisord that answers every call with the same fault."""

    logRequests = False  # noqa: N815  the base class calls it so

    def __init__(self, path: Path, fault: str) -> None:
        SimpleXMLRPCDispatcher.__init__(self)
        socketserver.UnixStreamServer.__init__(self, str(path), Handler)
        self.fault = fault

    def _dispatch(self, method: str, params: Any) -> Any:  # noqa: ARG002
        raise xmlrpc.client.Fault(1, self.fault)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster(for_tests(tmp_path / "d"))
    cluster.layout.make(cluster.config)
    # The socket belongs to this process, which is not part of a cluster.
    monkeypatch.setattr(leftovers, "belongs", lambda *_: True)
    monkeypatch.setattr(leftovers, "find", lambda _: [])
    monkeypatch.setattr(commands, "_cluster", lambda: cluster)
    return cluster


@pytest.fixture
def refuse(cluster: Cluster) -> Iterator[Serve]:
    """Makes a supervisord answer every call with a fault."""
    servers: list[Server] = []

    def serve(fault: str) -> None:
        servers.append(Server(cluster.layout.socket("supervisord"), fault))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_call_that_supervisord_refuses_is_an_error_of_one_line(
    refuse: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse("SPAWN_ERROR: worker-1")
    assert commands.main(["status"]) == 1
    assert capsys.readouterr().err == "error: supervisord refuses getAllProcessInfo: SPAWN_ERROR: worker-1\n"


def test_a_supervisord_that_is_about_to_end_counts_as_ended(
    cluster: Cluster, refuse: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse("SHUTDOWN_STATE")
    assert not cluster.is_running()
    assert commands.main(["status"]) == 1
    assert capsys.readouterr().err == f"{commands.NOT_RUNNING}\n"
    assert commands.main(["down"]) == 0


def test_a_stop_ends_all_programs_even_if_supervisord_refuses(cluster: Cluster, refuse: Serve) -> None:
    refuse("FAILED: whatever it was")
    ended: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leftovers, "end", ended.append)
        cluster.stop()
    assert ended == [cluster.layout]


def test_a_supervisord_that_cannot_be_killed_is_an_error_of_one_line(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    def wait(timeout: float) -> int:
        raise subprocess.TimeoutExpired("supervisord", timeout)

    cluster._daemon = SimpleNamespace(wait=wait, pid=7)  # type: ignore[assignment]
    assert commands.main(["down"]) == 1
    assert capsys.readouterr().err == "error: supervisord (process 7) was killed and does not end\n"
    with pytest.raises(ClusterError):
        cluster.stop()


def test_the_wait_for_another_stop_that_never_ends_is_bounded(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("localcluster.cluster.LONGEST_START_S", 0.0)
    with cluster._lock():
        assert commands.main(["down"]) == 1
    assert "error: another start or stop does not end: it has " in capsys.readouterr().err
