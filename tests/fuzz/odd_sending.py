"""Sends bytes on a new connection in one of three ways, and reads answers until the connection ends."""

import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from tests.contract.sending import wait_until_read

TIMEOUT_S = 20.0
MANY_BYTES = 1500
"""Longer requests are sent in about a hundred pieces: byte by byte they would take longer than the server waits."""

_LAST = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Way(Enum):
    """In which pieces a request is sent."""

    WHOLE = "whole"
    HEAD_AND_BODY = "head and body"
    BYTE_BY_BYTE = "byte by byte"


class End(Enum):
    """What a client does when it has sent all bytes."""

    HALF_CLOSE = "half-close"
    """It sends the end of the stream and continues to read."""

    ANOTHER = "another request"
    """It sends one more request on the same connection, which asks for the connection's end."""


@dataclass(frozen=True)
class Answer:
    """A final answer: its status, and the kind of the problem if it is one."""

    status: int
    kind: str


def exchange(base_url: str, head: bytes, body: bytes, way: Way, end: End, token: bytes) -> list[Answer]:
    """Send a request and return all final answers until the server has closed the connection."""
    address = urlsplit(base_url)
    received = bytearray()
    with socket.create_connection((address.hostname, address.port), TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The server may close while this end is still sending: its answers up to then count.
        with suppress(ConnectionError):
            for piece in _pieces(head, body, way, token):
                if _has_ended(connection, received):
                    break
                connection.sendall(piece)
                wait_until_read(connection)
            if end is End.ANOTHER:
                connection.sendall(_LAST)
            else:
                connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
    return list(answers(bytes(received)))


def _pieces(head: bytes, body: bytes, way: Way, token: bytes) -> Iterator[bytes]:
    if way is Way.WHOLE:
        yield head + body
    elif way is Way.HEAD_AND_BODY:
        yield head
        if body:
            yield body
    else:
        yield from _bytes(head + body, token)


def _bytes(whole: bytes, token: bytes) -> Iterator[bytes]:
    """Single bytes. Long uniform parts (a token, thousands of the same byte) are sent in larger pieces."""
    parts = whole.split(token)
    for number, part in enumerate(parts):
        if number:
            yield token[:100]
            yield token[100:]
        step = 1 if len(part) < MANY_BYTES else len(part) // 100
        yield from (part[start : start + step] for start in range(0, len(part), step))


def _has_ended(connection: socket.socket, received: bytearray) -> bool:
    """Read what the server has sent so far; returns whether it has closed the connection."""
    while select.select([connection], [], [], 0)[0]:
        piece = connection.recv(65536)
        if not piece:
            return True
        received += piece
    return False


def answers(received: bytes) -> Iterator[Answer]:
    """The final answers in what a server has sent. An answer to HEAD has a length and no body."""
    rest = received
    while rest:
        head, separator, rest = rest.partition(b"\r\n\r\n")
        assert separator, f"an answer without an end: {received[-300:]!r}"
        status_line, *lines = head.split(b"\r\n")
        assert status_line.startswith(b"HTTP/1.1 "), f"no answer: {head[:300]!r}"
        status = int(status_line.split()[1])
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        body = b""
        if not rest.startswith(b"HTTP/1.1 "):
            length = int(headers.get(b"content-length", b"0"))
            body, rest = rest[:length], rest[length:]
        if status < 200:
            continue
        kind = body.partition(b'"type":"urn:tarant-kv:problem:')[2].partition(b'"')[0].decode()
        yield Answer(status, kind)
