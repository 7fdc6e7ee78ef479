"""HTTP beneath the handlers: a request as raw ASGI gives it, its body within bounds, and the answer sent.

The routes of the API are ASGI handlers registered in Litestar. Its usual handlers build a connection, a request and a
response object for every call; measured on one-key batches those cost more than everything else that the api does.
"""

from __future__ import annotations

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable

from litestar.types import HTTPScope, Receive, Send

from api.auth.authenticator import Authenticator, Principal
from api.http.problems import MEDIA_TYPE, Kind, Problem
from api.http.response import Answer
from api.overload.fair_queue import Turns
from api.overload.memory_budgets import BodyBudget
from protocol.settings import BatchSettings, HttpSettings

_log = logging.getLogger(__name__)

_PROBLEM_TYPE = MEDIA_TYPE.encode()
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
WANTED = frozenset(
    (
        b"authorization",
        b"content-type",
        b"content-length",
        b"accept",
        b"idempotency-key",
        b"traceparent",
    )
)
"""The headers that are looked at."""

LARGE_BODY = 32 * 1024
"""Bytes of a body that takes a turn of the event loop for itself: some milliseconds' work, up to a second's."""

LARGE_ANSWER = 64 * 1024
"""Bytes of an answer that the kernel may not take at once, so that somebody has to wait for its client."""

CLIENT_CLOSED = 499
"""Counted for a client that went away before its answer; the number is nginx's."""


class ClientGoneError(Exception):
    """The client closed the connection before its body had arrived."""


class Incoming:
    """A request: the headers that count, its sender's address, its id, and its body on demand.

    `whole` is the body, where that has been received already; otherwise `receive` gives it piece by piece.
    """

    __slots__ = ("_receive", "_whole", "address", "headers", "request_id")

    def __init__(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        address: str,
        request_id: bytes,
        *,
        whole: bytes | None = None,
        receive: Receive | None = None,
    ) -> None:
        self.headers: dict[bytes, bytes] = {name: value for name, value in headers if name in WANTED}
        self.address = address
        self.request_id = request_id
        self._whole = whole
        self._receive = receive

    @property
    def trace(self) -> str | None:
        """The request's `traceparent`, if it has a valid one."""
        header = self.headers.get(b"traceparent")
        return header.decode("ascii") if header is not None and _TRACEPARENT.fullmatch(header) else None

    async def body(self, limit: int, timeout_s: float, held: BodyBudget.Share) -> bytes:
        """The whole body.

        Raises:
            Problem: 413, it is larger than `limit`; 408, it has not come within `timeout_s`; 503, no room.
            ClientGoneError: the client closed the connection.
        """
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        whole = self._whole
        if whole is not None:
            # Not kept while the answer waits for its client: nobody counts it then.
            self._whole = None
            if len(whole) > limit:
                raise _too_large(limit)
            held.add(len(whole))
            return whole
        if self._receive is None:
            raise AssertionError("a request without a body")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._collect(self._receive, limit, held)
        except TimeoutError:
            raise Problem(Kind.BODY_TIMEOUT, f"the body did not arrive within {timeout_s:g} seconds") from None

    async def _collect(self, receive: Receive, limit: int, held: BodyBudget.Share) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            piece = message["body"]
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            held.add(len(piece))
            if not message["more_body"]:
                return piece if not pieces else b"".join((*pieces, piece))
            pieces.append(piece)


def _too_large(limit: int) -> Problem:
    return Problem(Kind.BODY_TOO_LARGE, f"the body is larger than {limit} bytes")


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a finished answer."""
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.share is None:
        await send({"type": "http.response.body", "body": bytes(answer.body), "more_body": False})
        return
    try:
        if len(answer.body) > LARGE_ANSWER:
            await send({"type": "http.response.body", "body": bytes(answer.body), "more_body": True})
            # It is written at the end of this turn; then the server holds up the next message until it is read.
            await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send({"type": "http.response.body", "body": bytes(answer.body), "more_body": False})
    finally:
        answer.share.release()


def problem_answer(problem: Problem, request_id: bytes) -> Answer:
    """A problem as an answer."""
    headers = tuple((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
    return Answer(problem.status, _PROBLEM_TYPE, problem.body(request_id.decode("ascii")), headers)


class Endpoint(ABC):
    """A POST route of the API: authentication, the body, and every error as a problem document."""

    path: str
    scope: str | None = None
    """The scope that a token must have; None: any valid token."""

    authenticated = True
    direct = False
    """Whether requests that are there whole come here from their connection, without the application in between."""

    max_body: int | None = None
    """The largest body, where it is less than a batch may have."""

    def __init__(
        self, authenticator: Authenticator, budget: BodyBudget, large: Turns, http: HttpSettings, limits: BatchSettings
    ) -> None:
        self._authenticator = authenticator
        self._budget = budget
        self._large = large
        self._body_timeout_s = http.body_timeout_s
        self._limits = limits

    @abstractmethod
    async def handle(self, request: Incoming, body: bytes, principal: Principal | None) -> Answer:
        """Answer a request whose sender is known and whose body is there; raises `Problem` for anything else."""

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Serve one request that came through ASGI."""
        client = scope.get("client")
        request = Incoming(
            scope["headers"],
            str(client[0]) if client else "unknown",
            scope["state"]["request_id"].encode("ascii"),
            receive=receive,
        )
        if scope["method"] == "POST":
            answer = await self.answer(request)
        else:
            problem = Problem(Kind.METHOD_NOT_ALLOWED, f"{self.path} takes POST", headers={"Allow": "POST"})
            answer = problem_answer(problem, request.request_id)
        if answer is not None:
            await send_answer(send, answer)

    async def answer(self, request: Incoming) -> Answer | None:
        """Answer a POST, whatever comes; None if its client is gone."""
        try:
            return await self._serve(request)
        except Problem as problem:
            return problem_answer(problem, request.request_id)
        except ClientGoneError:
            return None
        except Exception:  # noqa: BLE001 - whatever it was, the client gets a problem document and the log the rest
            request_id = request.request_id.decode("ascii")
            _log.exception("a request failed", extra={"request_id": request_id})
            fault = Problem(Kind.INTERNAL, "something went wrong here; the request id finds it in the log")
            return problem_answer(fault, request.request_id)

    async def _serve(self, request: Incoming) -> Answer:
        principal = None
        if self.authenticated:
            principal = await self._authenticator.authenticate(request.headers.get(b"authorization"), self.scope)
        with self._budget.share() as held:
            limit = self._limits.max_body_bytes if self.max_body is None else self.max_body
            body = await request.body(limit, self._body_timeout_s, held)
            if len(body) > LARGE_BODY:
                await self._large.wait(principal.name if principal is not None else None)
            return await self.handle(request, body, principal)
