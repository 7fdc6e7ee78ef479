"""Endpoints: each takes a request and returns an answer. Every error becomes a problem document here."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from api.http.head import Head
from api.http.negotiation import check_coding
from api.http.problems import MEDIA_TYPE, Kind, Problem, problem_of
from api.http.request import Request
from api.http.response import Answer
from protocol.settings import BatchSettings

_log = logging.getLogger(__name__)

_PROBLEM_TYPE = MEDIA_TYPE.encode()


Reply: TypeAlias = Callable[[Answer | Coroutine[Any, Any, Answer]], None]
"""Takes an answer, or a coroutine that makes it and is run in a task. It never raises."""


class Principal(Protocol):
    """The sender of a request, as endpoints in general know it."""

    @property
    def name(self) -> str:
        """The user's name."""


class Authenticator(Protocol):
    """Finds out who sends a request, by its `Authorization` header. Problems: 401, 403, 503."""

    async def authenticate(self, header: bytes | None, scope: str | None = None) -> Principal:
        """The sender, who must have `scope`."""

    async def authenticate_again(self, header: bytes | None, scope: str | None = None) -> None:
        """Check during a long answer that the user may still read; the token may have expired meanwhile."""

    def known(self, header: bytes | None, scope: str | None = None) -> Principal | None:
        """The sender, without a look-up; None: the account has to be looked up."""

    def user_of(self, header: bytes | None) -> str:
        """The user that a token names, by its signature alone."""


class Route(Protocol):
    """Answers requests."""

    body_limit: int
    """The size of the largest body in bytes."""

    @abstractmethod
    def check(self, head: Head) -> None:
        """Check from the head alone, without a look-up, whether the request can be served; raises `Problem` if not."""

    @abstractmethod
    def user_of(self, head: Head) -> str | None:
        """The user who sends the request; None if the route does not need to know it. Problems: 401, 403."""

    @abstractmethod
    async def answer(self, request: Request, body: bytes) -> Answer:
        """Answer a request that passed `check`; never raises."""

    def begin(self, request: Request, body: bytes, reply: Reply) -> None:
        """The same, without a task if none is needed: `reply` is called once, now or later."""
        reply(self.answer(request, body))


class Served(Route, Protocol):
    """Answers the requests for a path, or for some methods of it."""

    path: str
    methods: tuple[str, ...]


def problem_answer(problem: Problem, request_id: bytes) -> Answer:
    """Turn a problem into an answer."""
    headers = tuple((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
    return Answer(problem.status, _PROBLEM_TYPE, problem.body(request_id.decode("ascii")), headers)


def error_answer(error: Exception, request_id: bytes) -> Answer:
    """The answer to a request that failed with `error`. An unexpected error is logged, and the client gets no
    details.
    """
    problem = problem_of(error)
    if problem is None:
        _log.error("a request failed", exc_info=error, extra={"request_id": request_id.decode("ascii")})
        problem = Problem(Kind.INTERNAL, "an internal error has occurred; search the log for the request id")
    return problem_answer(problem, request_id)


class Endpoint(Served):
    """A route of the API."""

    method = "POST"
    answers_head = False
    """Whether it answers HEAD, too: as its method, without the body."""

    scope: str | None = None
    """The scope that a token must have; None: any valid token."""

    authenticated = True
    max_body: int | None = None
    """Size of the largest body in bytes, if it is smaller than that of a batch."""

    def __init__(self, authenticator: Authenticator, limits: BatchSettings) -> None:
        self._authenticator = authenticator
        self._limits = limits
        self.body_limit = limits.max_body_bytes if self.max_body is None else self.max_body
        self.methods = (self.method, "HEAD") if self.answers_head else (self.method,)

    def check(self, head: Head) -> None:
        """Check coding and size of the body. Problems: 413, 415."""
        check_coding(head.fields.get(b"content-encoding"))
        if head.length is not None and head.length > self.body_limit:
            raise body_too_large(self.body_limit)

    def user_of(self, head: Head) -> str | None:
        """The user who sends the request, by the signature of its token; None if the endpoint needs none."""
        return self._authenticator.user_of(head.fields.get(b"authorization")) if self.authenticated else None

    @abstractmethod
    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        """Answer a request whose sender is known and whose body is complete; raises `Problem` for every failure."""

    async def answer(self, request: Request, body: bytes) -> Answer:
        try:
            principal = None
            if self.authenticated:
                principal = await self._authenticator.authenticate(request.headers.get(b"authorization"), self.scope)
            return await self.handle(request, body, principal)
        except Exception as error:  # noqa: BLE001 - the client gets a problem document; unexpected errors are logged
            return error_answer(error, request.request_id)


def body_too_large(limit: int) -> Problem:
    """The problem that a body has more than `limit` bytes."""
    return Problem(Kind.BODY_TOO_LARGE, f"the body is larger than {limit} bytes")
