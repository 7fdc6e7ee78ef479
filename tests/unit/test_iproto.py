"""`worker.iproto` against a socket with scripted answers; the integration tests use the real server."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from worker.iproto import CallRefusedError, Procedure


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    yield ours, theirs
    ours.close()
    theirs.close()


def packet(header: Any, body: Any) -> bytes:
    content: bytes = msgpack.packb(header) + msgpack.packb(body)
    return struct.pack(">BI", 0xCE, len(content)) + content


def ok(value: Any, sync: int = 1) -> bytes:
    return packet({0: 0, 1: sync, 5: 80}, {0x30: [value]})


def test_a_request_is_a_call_with_one_argument(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(ok(b"x"))
    Procedure(ours, "some.name")([[b"id", 1]])
    received = theirs.recv(65536)
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(received)
    assert unpacker.unpack() == len(received) - 5
    assert unpacker.unpack() == {0: 0x0A, 1: 1}
    assert unpacker.unpack() == {0x22: b"some.name", 0x21: [[[b"id", 1]]]}


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 20])
def test_an_answer_in_pieces_is_put_together(pair: tuple[socket.socket, socket.socket], cut: int) -> None:
    ours, theirs = pair
    whole = ok(b"v" * 100_000)
    theirs.sendall(whole[:cut])
    rest = threading.Thread(target=theirs.sendall, args=(whole[cut:],))
    rest.start()
    assert Procedure(ours, "p")([]) == b"v" * 100_000
    rest.join()


def test_an_error_has_its_code_and_text(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(packet({0: 0x8000 | 42, 1: 1}, {0x31: b"Execute access is denied"}))
    with pytest.raises(CallRefusedError, match="Execute access is denied") as caught:
        Procedure(ours, "p")([])
    assert caught.value.code == 42


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x", sync=2),
        b"\x93" + bytes(40),
        struct.pack(">BI", 0xCE, 3) + b"\x01\x02\x03",
        packet({0: 0, 1: 1}, {}),
        packet([], {}),
        struct.pack(">BI", 0xCE, 0),
        ok(b"x") + b"\xce",
    ],
    ids=["another call's", "no length", "no maps", "no data", "header is no map", "empty", "more than its length"],
)
def test_a_damaged_answer_breaks_the_connection(pair: tuple[socket.socket, socket.socket], answer: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        Procedure(ours, "p")([])


def test_no_memory_is_allocated_for_a_wrong_length(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(struct.pack(">BI", 0xCE, 0xFFFFFFFF) + b"x")
    with pytest.raises(ConnectionError, match="an answer of 4294967295 bytes is announced"):
        Procedure(ours, "p")([])


def test_a_closed_connection_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(ok(b"x")[:10])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError, match="closed"):
        Procedure(ours, "p")([])


def test_a_call_without_an_answer_times_out(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        Procedure(ours, "p")([])


@pytest.mark.parametrize("begin", [0, 10])
def test_the_wait_for_an_answer_that_comes_byte_by_byte_is_bounded(
    pair: tuple[socket.socket, socket.socket], begin: int
) -> None:
    ours, theirs = pair
    ours.settimeout(0.05)
    whole = ok(b"x" * 50)
    theirs.sendall(whole[:begin])

    def trickle() -> None:
        with contextlib.suppress(OSError):
            for byte in whole[begin:]:
                theirs.send(bytes([byte]))
                ended.wait(0.02)

    ended = threading.Event()
    slow = threading.Thread(target=trickle)
    slow.start()
    with pytest.raises(TimeoutError, match="too slowly"):
        Procedure(ours, "p")([])
    ended.set()
    slow.join()


def test_a_silent_call_ends_if_another_instance_leads(pair: tuple[socket.socket, socket.socket]) -> None:
    asked: list[bool] = []

    def is_replaced() -> bool:
        asked.append(True)
        return True

    with pytest.raises(TimeoutError):
        Procedure(pair[0], "p")([], is_replaced)
    assert asked == [True]


def test_a_silent_call_continues_if_no_other_instance_leads(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair

    def is_replaced() -> bool:
        theirs.sendall(ok(b"late"))
        return False

    assert Procedure(ours, "p")([], is_replaced) == b"late"
    assert ours.gettimeout() == 5


def test_an_answered_call_does_not_look_for_another_leader(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(ok(b"soon"))
    assert Procedure(ours, "p")([], lambda: pytest.fail("the call asks for another leader")) == b"soon"
    assert ours.gettimeout() == 5
