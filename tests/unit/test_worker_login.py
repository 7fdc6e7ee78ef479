"""A worker's login to a shard that sends its answers a byte at a time."""

import socket
import threading
from collections.abc import Iterator

import pytest

from protocol.settings import StoreSettings
from worker.errors import ShardUnreachableError
from worker.shard import Shard
from worker.time_limit import TimeLimit

GREETING = b"Tarantool 2.6.0 (Binary) 00000000-0000-0000-0000-000000000000".ljust(63) + b"\n" + b"x".ljust(63) + b"\n"


class Trickling:
    """A shard whose greeting is so slow that each byte comes in time, but never the whole greeting."""

    def __init__(self) -> None:
        self.sent = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = self._listening.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        connection.settimeout(0.02)
        with connection:
            for byte in GREETING:
                try:
                    connection.sendall(bytes([byte]))
                    self.sent += 1
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    continue
                except OSError:
                    return

    def close(self) -> None:
        self._thread.join(10)
        self._listening.close()


@pytest.fixture
def trickling() -> Iterator[Trickling]:
    server = Trickling()
    yield server
    server.close()


def test_a_shard_that_sends_a_byte_at_a_time_is_given_up_after_the_time_of_a_call(trickling: Trickling) -> None:
    shard = Shard("s1", [trickling.address], StoreSettings(store_password="secret"), 0.2)
    with pytest.raises(ShardUnreachableError, match="no answer in time") as raised:
        shard.connect()
    trickling.close()
    assert not raised.value.sent
    assert 0 < trickling.sent < len(GREETING)


def test_a_limit_that_was_not_reached_does_not_close_the_socket() -> None:
    one, other = socket.socketpair()
    with one, other:
        limit = TimeLimit(one, 60.0)
        with limit:
            pass
        limit._shut_down()
        one.sendall(b"x")
        assert other.recv(1) == b"x"
        assert not limit.reached
