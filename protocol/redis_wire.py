"""Connections to Redis: they send all commands of a turn in one write and return the replies in order.

The parser and the packer are those of hiredis, in C. redis-py's clients do more for each command and reply: pools,
retries, health checks, events, a task and a timer. A turn has up to a dozen commands, and for requests of one key that
took a sixth of the api's CPU time. A connection retries nothing: its callers know what a lost reply means.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final, cast

import hiredis
import redis

from protocol.redis_server import Address, Command, run_id
from protocol.settings import RedisSettings
from protocol.slow_answers import keep_up, latest
from protocol.slow_links import Leaving, receive, send, waiting_in

__all__ = ["COMMAND_TIMEOUT_S", "CONNECT_TIMEOUT_S", "AsyncWire", "Command", "Wire", "check"]

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 2.0

_RECEIVE_BYTES = 256 * 1024
_UNFINISHED: Final = object()
_SURPLUS = "redis answered more than it was asked"
"""Bytes were lost on the way, and Redis read the rest of a command as others: it is uncertain to which command a reply
belongs."""


def _reader() -> hiredis.Reader:
    return hiredis.Reader(
        protocolError=redis.InvalidResponse, replyError=redis.ResponseError, notEnoughData=_UNFINISHED
    )


def _packed(commands: Sequence[Command]) -> list[bytes]:
    # hiredis accepts a tuple of any length; its stub does not say so.
    return [hiredis.pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]


def check(replies: Sequence[Any]) -> Sequence[Any]:
    """Return the replies, if none of them is an error.

    Raises:
        redis.ResponseError: the first error among them.
    """
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
    return replies


class Wire:
    """One blocking connection, for one thread. It connects at the first `run`, and again after every failure.

    `block_ms` is the longest block of its reads; replies may take somewhat longer. With `identify` it asks each server
    for its run id when it connects.
    """

    server = ""
    """The run id of the server to which it connected last."""

    def __init__(self, settings: RedisSettings, *, name: str, block_ms: int = 0, identify: bool = False) -> None:
        self._address = Address(settings, name, identify=identify)
        self._identify = identify
        self._timeout_s = COMMAND_TIMEOUT_S + block_ms / 1000
        self._socket: socket.socket | None = None
        self._reader = _reader()
        self._buffer = bytearray(_RECEIVE_BYTES)

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands in one write and return their replies in order, an error reply as an exception object.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the connection broke; which commands ran is unknown.
        """
        if not commands:
            return []
        self.connect()
        try:
            return self._exchange(commands)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def connect(self) -> None:
        """Connect and log in, unless connected.

        Raises:
            redis.RedisError: connecting failed.
        """
        if self._socket is not None:
            return
        address = self._address
        try:
            if address.path is not None:
                connected = socket.socket(socket.AF_UNIX)
                connected.settimeout(CONNECT_TIMEOUT_S)
                connected.connect(address.path)
            else:
                connected = socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if address.tls is not None:
                connected = address.tls.wrap_socket(connected, server_hostname=address.host)
        except OSError as error:
            raise redis.ConnectionError(f"cannot connect to redis: {error}") from error
        connected.settimeout(self._timeout_s)
        self._socket = connected
        self._reader = _reader()
        try:
            *_, last = check(self._exchange(address.greeting))
            if self._identify:
                self.server = run_id(last)
        except BaseException:
            self.close()
            raise

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        connected = cast("socket.socket", self._socket)
        gets, feed, buffer = self._reader.gets, self._reader.feed, self._buffer
        replies: list[Any] = []
        began_at, came = 0.0, 0
        try:
            send(connected, *_packed(commands))
            while True:
                reply = gets()
                while reply is not _UNFINISHED:
                    replies.append(reply)
                    if len(replies) == len(commands):
                        if self._reader.has_data():
                            raise redis.ConnectionError(_SURPLUS)
                        return replies
                    reply = gets()
                if came:
                    began_at = keep_up(began_at, self._timeout_s, came)
                received = receive(connected, buffer) if not came else connected.recv_into(buffer)
                if not received:
                    raise redis.ConnectionError("redis closed the connection")
                came += received
                feed(buffer, 0, received)  # type: ignore[arg-type]  # any buffer will do
        except (redis.InvalidResponse, TypeError) as error:
            raise redis.ConnectionError(f"redis sent an invalid reply: {error}") from error
        except TimeoutError as error:
            raise redis.TimeoutError(f"redis did not answer within {self._timeout_s:g} seconds") from error
        except OSError as error:
            raise redis.ConnectionError(f"the connection to redis broke: {error}") from error


class AsyncWire(asyncio.Protocol):
    """One asyncio connection, for one task. It connects at the first `run`, and cannot be used after a failure.

    With `identify` it asks the server for its run id. `silent_s` is how long the server may be silent.
    """

    server = ""
    """The run id of the server, after it has connected."""

    def __init__(
        self, settings: RedisSettings, *, name: str, block_ms: int = 0, identify: bool = False, silent_s: float = 0.0
    ) -> None:
        self._address = Address(settings, name, identify=identify)
        self._identify = identify
        self._connect_timeout_s = silent_s or CONNECT_TIMEOUT_S
        self._timeout_s = (silent_s or COMMAND_TIMEOUT_S) + block_ms / 1000
        self._transport: asyncio.Transport | None = None
        self._reader = _reader()
        self._replies: list[Any] = []
        self._expected = 0
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._began_at = self._heard_at = 0.0
        self._came = 0
        self._leaving: Leaving | None = None
        self._timer: asyncio.TimerHandle
        self._loop: asyncio.AbstractEventLoop

    @property
    def closed(self) -> bool:
        """Whether it cannot be used any more, as far as is known."""
        return self._closed

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands in one write and return their replies in order, an error reply as an exception object.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the connection broke; which commands ran is unknown.
        """
        if self._closed:
            raise redis.ConnectionError("the connection to redis is closed")
        if self._transport is None:
            await self._connect()
        return await self._exchange(commands)

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self) -> None:
        address = self._address
        loop = self._loop = asyncio.get_running_loop()
        self._reader = _reader()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if address.path is not None:
                    transport, _ = await loop.create_unix_connection(lambda: self, address.path)
                else:
                    transport, _ = await loop.create_connection(
                        lambda: self, address.host, address.port, ssl=address.tls
                    )
        except (OSError, TimeoutError) as error:
            raise redis.ConnectionError(f"cannot connect to redis: {str(error) or 'no answer'}") from error
        self._transport = transport
        try:
            *_, last = check(await self._exchange(address.greeting))
            if self._identify:
                self.server = run_id(last)
        except BaseException:
            self.close()
            raise

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        loop = self._loop
        replies: list[Any] = []
        waiter: asyncio.Future[None] = loop.create_future()
        self._replies, self._expected, self._waiter = replies, len(commands), waiter
        cast("asyncio.Transport", self._transport).write(b"".join(_packed(commands)))
        self._began_at = self._heard_at = loop.time()
        self._came = 0
        self._leaving = None
        self._timer = loop.call_later(self._timeout_s, self._time_out)
        try:
            await waiter
        except BaseException:
            # Replies to this call may still arrive, so the connection cannot be used any more.
            self.close()
            raise
        finally:
            self._timer.cancel()
            self._waiter = None
        return replies

    def _time_out(self) -> None:
        """End the wait if nothing came for too long, or if the bytes come too slowly; a large reply may take longer."""
        slowest = latest(self._began_at, self._timeout_s, self._came)
        left = min(self._heard_at, slowest) + self._timeout_s - self._loop.time()
        self._leaving = self._leaving or Leaving(self._timeout_s)
        if left <= 0 and not self._came and self._leaving.goes_on(waiting_in(self._transport)):
            left = self._timeout_s
        if left > 0:
            self._timer = self._loop.call_later(left, self._time_out)
            return
        self._fail(redis.TimeoutError(f"redis did not answer within {self._timeout_s:g} seconds"))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def data_received(self, data: bytes) -> None:
        """Process received bytes; called by the transport."""
        gets, replies = self._reader.gets, self._replies
        self._heard_at = self._loop.time()
        try:
            self._reader.feed(data)
            reply = gets()
            while reply is not _UNFINISHED:
                replies.append(reply)
                reply = gets()
        except (redis.InvalidResponse, TypeError) as error:
            self._fail(redis.ConnectionError(f"redis sent an invalid reply: {error}"))
            return
        if len(replies) < self._expected:
            self._came += len(data)
            return
        if len(replies) > self._expected or self._reader.has_data():
            self._fail(redis.ConnectionError(_SURPLUS))
            self.close()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the waiting call; called by the transport."""
        self._closed = True
        self._fail(redis.ConnectionError(f"the connection to redis broke: {exc or 'closed'}"))
