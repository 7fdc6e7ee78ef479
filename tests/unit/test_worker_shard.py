"""Where the search for a shard's leader begins, against sockets that take connections or do not."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from protocol.settings import StoreSettings
from worker.errors import ShardUnreachableError
from worker.shard import Address, Shard


class Instances:
    """Ports of a shard's instances: which lead, which only follow, and which refuse connections; notes who is asked."""

    def __init__(self, shard: Shard, ports: dict[str, Address], monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.leader: str | None = None
        self.dead: set[str] = set()
        self._names = {port: name for name, port in ports.items()}
        monkeypatch.setattr(shard, "_connect", self._connect)
        monkeypatch.setattr(shard, "_is_leader", lambda _, address: self._names[_address(address)] == self.leader)

    def _connect(self, host: str, port: int) -> socket.socket:
        name = self._names[host, port]
        self.asked.append(name)
        if name in self.dead:
            raise ConnectionRefusedError("refused")
        return socket.create_connection((host, port), 5)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


@pytest.fixture
def listening() -> Iterator[dict[str, Address]]:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in "abc"}
        yield {name: server.getsockname() for name, server in servers.items()}


@pytest.fixture
def shard(listening: dict[str, Address]) -> Iterator[Shard]:
    shard = Shard("s1", list(listening.values()), StoreSettings(store_password="x"), 5.0)
    yield shard
    shard.disconnect()


@pytest.fixture
def instances(shard: Shard, listening: dict[str, Address], monkeypatch: pytest.MonkeyPatch) -> Instances:
    return Instances(shard, listening, monkeypatch)


def search(shard: Shard, instances: Instances) -> list[str]:
    """The instances that a search asks, in order."""
    instances.asked.clear()
    try:
        shard.connect()
    except ShardUnreachableError:
        assert not shard.connected
    return list(instances.asked)


def test_a_search_ends_at_the_leader(shard: Shard, instances: Instances) -> None:
    instances.leader = "b"
    assert search(shard, instances) == ["a", "b"]
    assert search(shard, instances) == []


def test_a_search_does_not_begin_with_the_leader_that_has_failed(shard: Shard, instances: Instances) -> None:
    instances.leader = "a"
    assert search(shard, instances) == ["a"]
    instances.dead.add("a")
    instances.leader = "c"
    shard.disconnect()
    assert search(shard, instances) == ["b", "c"]


def test_a_search_does_not_begin_with_an_instance_that_was_dead_in_the_last(shard: Shard, instances: Instances) -> None:
    instances.dead.add("a")
    instances.leader = "b"
    assert search(shard, instances) == ["a", "b"]
    shard.disconnect()
    instances.leader = "c"
    assert search(shard, instances) == ["c"]


def test_a_search_without_a_leader_asks_everybody_and_the_next_those_first_that_answered(
    shard: Shard, instances: Instances
) -> None:
    instances.dead.add("a")
    assert search(shard, instances) == ["a", "b", "c"]
    assert search(shard, instances) == ["b", "c", "a"]


def test_a_leader_that_came_back_is_found_again(shard: Shard, instances: Instances) -> None:
    instances.dead.update("abc")
    assert search(shard, instances) == ["a", "b", "c"]
    instances.dead.clear()
    instances.leader = "a"
    assert "a" in search(shard, instances)
    assert shard.connected
