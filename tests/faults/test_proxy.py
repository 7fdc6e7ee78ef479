"""The proxy that breaks the network for other tests works as documented."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.network import CUT, Condition, Link, Proxy, Treatment, without_some

SILENCE_S = 0.15


class Echo:
    """A server that sends back the bytes that it gets, and records them."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()
        self.got = b""
        self.ended = threading.Event()
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.got += data
                    connection.sendall(data)
            except OSError:
                pass
        self.ended.set()

    def close(self) -> None:
        # A thread in accept() would keep the port open.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def link(echo: Echo) -> Iterator[Link]:
    proxy = Proxy()
    yield proxy.link("link", echo.address)
    proxy.close()


@pytest.fixture
def client(link: Link) -> Iterator[socket.socket]:
    with connected(link) as connection:
        assert said(connection, b"hello") == b"hello"
        yield connection


def connected(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=5)


def said(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return heard(connection, len(data))


def heard(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(65536)
        assert more, f"the connection ended after {data!r}"
        data += more
    return data


def silent(connection: socket.socket) -> bool:
    connection.settimeout(SILENCE_S)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(5)
    return False


def wait_for_count(echo: Echo, got: bytes) -> None:
    end = time.monotonic() + 5
    while echo.got != got:
        assert time.monotonic() < end, f"the server got {echo.got!r}"
        time.sleep(0.005)


def test_a_whole_link_passes_all_bytes_on(link: Link) -> None:
    data = random.Random(1).randbytes(3_000_000)
    with connected(link) as connection, ThreadPoolExecutor(1) as other:
        sent = other.submit(connection.sendall, data)
        assert heard(connection, len(data)) == data
        sent.result()


def test_the_end_of_a_stream_is_passed_on(client: socket.socket, echo: Echo) -> None:
    client.close()
    assert echo.ended.wait(5)


def test_a_cut_link_resets_its_connections_and_refuses_new_ones(client: socket.socket, link: Link) -> None:
    link.set(CUT)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connected(link)
    link.heal()
    with connected(link) as again:
        assert said(again, b"again") == b"again"


def test_a_slow_link_delays_each_way(client: socket.socket, link: Link) -> None:
    link.set(Condition(requests=Treatment(delay_s=0.1), answers=Treatment(delay_s=0.1)))
    started = time.monotonic()
    assert said(client, b"slow") == b"slow"
    assert time.monotonic() - started >= 0.2
    link.heal()

    def took_s() -> float:
        started = time.monotonic()
        assert said(client, b"quick") == b"quick"
        return time.monotonic() - started

    assert min(took_s() for _ in range(10)) < 0.1


def test_a_half_open_link_accepts_all_bytes_and_passes_none_on(client: socket.socket, link: Link, echo: Echo) -> None:
    link.set(Condition(requests=Treatment(swallow=True), answers=Treatment(swallow=True)))
    client.sendall(b"lost")
    with connected(link) as newcomer:
        newcomer.sendall(b"lost")
        assert silent(newcomer)
        assert silent(client)
        assert echo.got == b"hello"
        assert link.swallowed == 2
        link.heal()
        # A stream with missing bytes is never passed on.
        for connection in (client, newcomer):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
    with connected(link) as again:
        assert said(again, b"again") == b"again"


def test_a_half_open_link_hides_the_end_of_a_stream(client: socket.socket, link: Link, echo: Echo) -> None:
    link.set(Condition(requests=Treatment(swallow=True)))
    client.close()
    assert not echo.ended.wait(SILENCE_S)
    link.heal()
    assert echo.ended.wait(5)


def test_one_direction_can_be_broken_alone(client: socket.socket, link: Link, echo: Echo) -> None:
    link.set(Condition(answers=Treatment(swallow=True)))
    client.sendall(b"one way")
    wait_for_count(echo, b"helloone way")
    assert silent(client)


def test_held_bytes_are_passed_on_at_the_end_even_if_the_client_has_gone(
    client: socket.socket, link: Link, echo: Echo
) -> None:
    link.set(Condition(requests=Treatment(hold=True)))
    client.sendall(b"late")
    assert silent(client)
    client.close()
    assert echo.got == b"hello"
    link.heal()
    wait_for_count(echo, b"hellolate")
    assert echo.ended.wait(5)


def test_a_damaged_link_loses_bytes_and_closes_the_gap(client: socket.socket, link: Link) -> None:
    link.set(Condition(requests=Treatment(damage=1)))
    sent = bytes(range(200))
    client.sendall(sent)
    got = b""
    while not silent(client):
        got += client.recv(65536)
    assert link.damaged == 1
    assert len(sent) - 8 <= len(got) < len(sent)
    assert sorted(got) == list(got)
    link.heal()
    assert said(client, b"whole again") == b"whole again"


@pytest.mark.parametrize("size", [1, 5, 300])
def test_damage_removes_a_few_bytes_at_one_place(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    chance = random.Random(1)
    for _ in range(200):
        left = without_some(data, chance)
        lost = len(data) - len(left)
        assert 1 <= lost <= 8
        assert any(left == data[:start] + data[start + lost :] for start in range(len(data)))


def test_another_server_behind_the_same_port_gets_new_connections(client: socket.socket, link: Link) -> None:
    other = Echo()
    try:
        link.lead_to(other.address)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with connected(link) as again:
            assert said(again, b"other") == b"other"
        assert other.got == b"other"
    finally:
        other.close()


def test_a_missing_server_ends_the_connection(link: Link, echo: Echo) -> None:
    echo.close()
    with contextlib.suppress(ConnectionResetError), connected(link) as connection:
        assert connection.recv(1) == b""
