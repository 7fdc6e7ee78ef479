"""The client's own HTTP: an answer is read in the same way however it is cut into pieces, and bytes that are not HTTP
are an error.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tarantkv.transport.http1 import Connection, HttpError, head_of
from tarantkv.wire import Request

REQUEST = Request("POST", "/api/read", {"accept": "x/y"}, b"body")
TIMEOUT_S = 10.0

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "with a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello", b"hello", True),
    "empty": (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", b"", True),
    "in chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\na: b\r\n\r\n",
        b"hello",
        True,
    ),
    "after a 100": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    "to the end": (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello", False),
    "the last one": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "of HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "without a body": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
}

BAD = {
    "another protocol": b"SSH-2.0-OpenSSH\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a length below zero": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk that is longer than it says": _CHUNKED + b"2\r\nhello\r\n0\r\n\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000,
    "a field without a name": b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    "nothing": b"",
}


@contextmanager
def connection(pieces: list[bytes]) -> Iterator[Connection]:
    """A connection whose other end sends pieces, and then closes."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            for piece in pieces:
                theirs.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        yield Connection(ours)
    thread.join(TIMEOUT_S)


def read(pieces: list[bytes]) -> tuple[int, bytes, bool]:
    end = time.monotonic() + TIMEOUT_S
    with connection(pieces) as found:
        status, _ = found.head(end)
        body = b""
        while piece := found.piece(end):
            body += piece
        return status, body, found.is_free


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_read_in_the_same_way_however_it_is_cut(name: str) -> None:
    answer, body, reusable = WHOLE[name]
    status = int(answer.split(b"\r\n\r\n")[-2 if name == "after a 100" else 0].split(b" ")[1])
    for way in ([answer], [answer[at : at + 1] for at in range(len(answer))]):
        assert read(way) == (status, body, reusable)


@pytest.mark.parametrize("name", BAD)
def test_bytes_that_are_not_http_are_an_error(name: str) -> None:
    with pytest.raises(HttpError):
        read([BAD[name]])


@pytest.mark.parametrize("name", ["with a length", "in chunks"])
def test_an_answer_that_breaks_off_anywhere_is_an_error(name: str) -> None:
    answer = WHOLE[name][0]
    for cut in range(len(answer)):
        with pytest.raises(HttpError):
            read([answer[:cut]])


def test_several_fields_with_one_name_are_joined_by_commas() -> None:
    with connection([WHOLE["with a length"][0]]) as found:
        assert found.head(time.monotonic() + TIMEOUT_S)[1]["x-a"] == "1, 2"


def test_the_wait_for_an_answer_that_comes_byte_by_byte_is_bounded() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\n")
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            Connection(ours).head(began + 0.1)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a b", {}),
        ("/a\r\nx: y", {}),
        ("a", {}),
        ("/", {"x": "a\r\nb: c"}),
        ("/", {"x y": "a"}),
        ("/", {"x": "\u0100"}),
        ("/", {"x\r\ny": "a"}),
    ],
)
def test_a_request_whose_head_would_be_misread_is_not_sent(target: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"path|header"):
        head_of(REQUEST._replace(headers=headers), target, "host")


def test_a_head_contains_the_method_target_and_fields_of_the_request() -> None:
    assert head_of(REQUEST, "/api/read", "[::1]:8081") == (
        b"POST /api/read HTTP/1.1\r\nhost: [::1]:8081\r\naccept: x/y\r\ncontent-length: 4\r\n\r\n"
    )
