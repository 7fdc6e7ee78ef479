"""A transport made of sockets only: a pool of keep-alive connections. It does not use proxies.

Threads may share it. A process that was forked from one with a pool makes its own connections: otherwise the two would
read each other's answers.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import TYPE_CHECKING

from tarantkv.effects import Stream
from tarantkv.errors import InvalidRequestError
from tarantkv.forks import renew_after_fork
from tarantkv.transport.address import address_of
from tarantkv.transport.http1 import Connection, HttpError, head_of
from tarantkv.wire import Request, Response, TransportError

if TYPE_CHECKING:
    import ssl

CONNECT_S = 5.0
MAX_IDLE = 32
MAX_IDLE_S = 30.0
"""The server closes connections that are idle for 75 seconds, and asks proxies to reuse none after 60."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024
_BROKEN = (OSError, HttpError)


class PlainTransport:
    """Connections to the api at `url`. `tls` replaces the system's certificates."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._secure, self._host, self._port, self._authority, self._prefix = address_of(url)
        self._tls = tls
        self._closed = False
        self.renew_after_fork()
        renew_after_fork(self)

    def renew_after_fork(self) -> None:
        """Leave the connections to the parent. Dropping them closes only this process's ends."""
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Connection]] = []

    def send(self, request: Request) -> Response:
        """Send a request and read its answer."""
        end = time.monotonic() + request.timeout
        connection, head = self._sent(request, end)
        try:
            body = _whole(connection, end)
        except BaseException as error:
            connection.close()
            if isinstance(error, _BROKEN):
                raise _lost(error) from error
            raise
        self._give_back(connection)
        return head._replace(body=body)

    def open(self, request: Request) -> Stream:
        """Send a request and read the head of its answer."""
        connection, head = self._sent(request, time.monotonic() + request.timeout)
        return Stream(head, connection)

    def read(self, stream: Stream, timeout: float) -> bytes:
        """The next piece of an answer."""
        connection: Connection = stream.handle
        try:
            return connection.piece(time.monotonic() + timeout)
        except _BROKEN as error:
            raise _lost(error) from error

    def shut(self, stream: Stream) -> None:
        """End an answer. Unless it was read completely, its connection is closed: the rest may be long."""
        self._give_back(stream.handle)

    def close(self) -> None:
        """Close all idle connections; those in use close with their answers."""
        self._closed = True
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _sent(self, request: Request, end: float) -> tuple[Connection, Response]:
        try:
            begin = head_of(request, self._prefix + request.path, self._authority)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None
        connection = self._connection(end)
        try:
            connection.send(begin, request.body, end)
            status, headers = connection.head(end)
        except BaseException as error:
            connection.close()
            if isinstance(error, _BROKEN):
                raise _lost(error) from error
            raise
        return connection, Response(status, headers)

    def _connection(self, end: float) -> Connection:
        while True:
            with self._lock:
                if not self._idle:
                    break
                since, connection = self._idle.pop()
            if time.monotonic() - since < MAX_IDLE_S and _is_silent(connection.sock):
                return connection
            connection.close()
        try:
            return self._new(min(CONNECT_S, max(0.001, end - time.monotonic())))
        except OSError as error:
            raise TransportError(f"cannot connect to {self._authority}: {error}", sent=False) from error

    def _new(self, timeout: float) -> Connection:
        sock = socket.create_connection((self._host, self._port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._secure:
            return Connection(sock)
        try:
            return Connection(self._context().wrap_socket(sock, server_hostname=self._host))
        except BaseException:
            sock.close()
            raise

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            # Imported only when needed: it takes as long as a call.
            import ssl

            self._tls = ssl.create_default_context()
        return self._tls

    def _give_back(self, connection: Connection) -> None:
        if connection.is_free:
            with self._lock:
                if not self._closed and len(self._idle) < MAX_IDLE:
                    self._idle.append((time.monotonic(), connection))
                    return
        connection.close()


def _whole(connection: Connection, end: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := connection.piece(end):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise HttpError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    return b"".join(pieces)


def _is_silent(sock: socket.socket) -> bool:
    """Whether the other end of an idle connection has neither closed it nor sent anything."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def _lost(error: Exception) -> TransportError:
    text = str(error) or type(error).__name__
    return TransportError(f"the connection was lost before the answer was there: {text}")
