"""Transports of httpx2: for asyncio, and for proxies. They read `HTTP_PROXY` and similar variables from the
environment.

A pool belongs to one process, and for asyncio to one event loop: after a fork, or in another loop, a new one is made.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

import httpx2

from tarantkv.effects import Stream
from tarantkv.errors import InvalidRequestError
from tarantkv.forks import renew_after_fork
from tarantkv.transport.address import address_of
from tarantkv.transport.http1 import is_field
from tarantkv.transport.plain import CONNECT_S, MAX_ANSWER_BYTES, MAX_IDLE, MAX_IDLE_S
from tarantkv.wire import Request, Response, TransportError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE, keepalive_expiry=MAX_IDLE_S)
_left_to_parents: list[Any] = []
"""Pools of the process from which this one was forked: this process must not close them."""


class HttpxTransport:
    """Connections to the api at `url`, for threads. `client` replaces the transport's own, and is not closed."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None, client: httpx2.Client | None = None) -> None:
        address_of(url)
        self._url = url.rstrip("/")
        self._tls = tls
        self._given = client
        self._client = client or self._new()
        renew_after_fork(self)

    def _new(self) -> httpx2.Client:
        return httpx2.Client(limits=_LIMITS, verify=True if self._tls is None else self._tls)

    def renew_after_fork(self) -> None:
        """Make connections of this process's own. The owner of a given client must renew it."""
        if self._given is None:
            _left_to_parents.append(self._client)
            self._client = self._new()

    def send(self, request: Request) -> Response:
        """Send a request and read its answer.

        httpx2 limits each read separately: an answer that arrives byte by byte would have no limit.
        """
        answer = _Answer(time.monotonic() + request.timeout)
        try:
            with closing(self._client.send(self._request(request), stream=True)) as response:
                for piece in response.iter_bytes():
                    answer.add(piece)
        except httpx2.HTTPError as error:
            raise _lost(error) from error
        return answer.of(response)

    def open(self, request: Request) -> Stream:
        """Send a request and read the head of its answer."""
        try:
            response = self._client.send(self._request(request), stream=True)
        except httpx2.HTTPError as error:
            raise _lost(error) from error
        pieces: Iterator[bytes] = response.iter_raw()
        return Stream(_head(response), (response, pieces))

    def read(self, stream: Stream, timeout: float) -> bytes:  # noqa: ARG002 - that of the request holds for each read
        """The next piece of an answer."""
        try:
            return next(stream.handle[1], b"")
        except httpx2.HTTPError as error:
            raise _lost(error) from error

    def shut(self, stream: Stream) -> None:
        """Close the connection of an answer."""
        stream.handle[0].close()

    def close(self) -> None:
        """Close all connections."""
        if self._given is None:
            self._client.close()

    def _request(self, request: Request) -> httpx2.Request:
        return self._client.build_request(request.method, self._url + request.path, **_arguments(request))


class AsyncHttpxTransport:
    """Connections to the api at `url`, for asyncio. `client` replaces the transport's own, and is not closed."""

    def __init__(
        self, url: str, *, tls: ssl.SSLContext | None = None, client: httpx2.AsyncClient | None = None
    ) -> None:
        address_of(url)
        self._url = url.rstrip("/")
        self._tls = tls
        self._given = client
        self._owner: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._client: httpx2.AsyncClient | None = None

    async def send(self, request: Request) -> Response:
        """Send a request and read its answer."""
        answer = _Answer(time.monotonic() + request.timeout)
        try:
            async with asyncio.timeout(request.timeout):
                async with aclosing(await self._pool().send(self._request(request), stream=True)) as response:
                    async for piece in response.aiter_bytes():
                        answer.add(piece)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise _lost(error) from error
        return answer.of(response)

    async def open(self, request: Request) -> Stream:
        """Send a request and read the head of its answer."""
        try:
            async with asyncio.timeout(request.timeout):
                response = await self._pool().send(self._request(request), stream=True)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise _lost(error) from error
        pieces: AsyncIterator[bytes] = response.aiter_raw()
        return Stream(_head(response), (response, pieces))

    async def read(self, stream: Stream, timeout: float) -> bytes:  # noqa: ASYNC109 - part of what is asked for
        """The next piece of an answer."""
        try:
            async with asyncio.timeout(timeout):
                piece: bytes = await anext(stream.handle[1], b"")
        except (httpx2.HTTPError, TimeoutError) as error:
            raise _lost(error) from error
        return piece

    async def shut(self, stream: Stream) -> None:
        """Close the connection of an answer."""
        await stream.handle[0].aclose()

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None and self._owner == (os.getpid(), asyncio.get_running_loop()):
            await self._client.aclose()

    def _pool(self) -> httpx2.AsyncClient:
        if self._given is not None:
            return self._given
        owner = os.getpid(), asyncio.get_running_loop()
        if self._client is None or self._owner != owner:
            _left_to_parents.append(self._client)
            self._client = httpx2.AsyncClient(limits=_LIMITS, verify=True if self._tls is None else self._tls)
            self._owner = owner
        return self._client

    def _request(self, request: Request) -> httpx2.Request:
        return self._pool().build_request(request.method, self._url + request.path, **_arguments(request))


def _arguments(request: Request) -> dict[str, Any]:
    """What httpx2 takes.

    Raises:
        InvalidRequestError: a header cannot be sent. httpx2 would say so by many kinds of errors.
    """
    for name, value in request.headers.items():
        if not is_field(name, value):
            raise InvalidRequestError(f"the header {name} cannot be sent")
    timeout = httpx2.Timeout(request.timeout, connect=min(CONNECT_S, request.timeout))
    return {
        "headers": {name: value.encode("latin-1") for name, value in request.headers.items()},
        "content": request.body or None,
        "timeout": timeout,
    }


def _head(response: httpx2.Response) -> Response:
    return Response(response.status_code, {name.lower(): value for name, value in response.headers.items()})


class _Answer:
    """The body of an answer as it arrives; it must be complete before `end` on the monotonic clock."""

    def __init__(self, end: float) -> None:
        self._end = end
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > MAX_ANSWER_BYTES:
            raise TransportError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > self._end:
            raise TransportError("the connection was lost before the answer was there: the answer took too long")

    def of(self, response: httpx2.Response) -> Response:
        return _head(response)._replace(body=b"".join(self._pieces))


def _lost(error: Exception) -> TransportError:
    text = str(error) or type(error).__name__
    if isinstance(error, _NOT_SENT):
        return TransportError(f"cannot connect: {text}", sent=False)
    return TransportError(f"the connection was lost before the answer was there: {text}")
