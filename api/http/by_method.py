"""A route that several endpoints share, each with a method of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from api.http.endpoint import InTask, Served, body_too_large, error_answer
from api.http.head import Head
from api.http.problems import Kind, Problem
from api.http.request import Request
from api.http.response import Answer


class NoMethod(InTask):
    """What answers the methods that a route does not have."""

    body_limit = 0

    def __init__(self, path: str, allowed: str) -> None:
        self._path = path
        self._allowed = allowed

    def check(self, _: Head) -> NoReturn:
        """Refuse the request.

        Raises:
            Problem: 405.
        """
        raise Problem(Kind.METHOD_NOT_ALLOWED, f"{self._path} takes {self._allowed}", headers={"Allow": self._allowed})

    def user_of(self, _: Head) -> None:
        """Nobody: it is refused whoever asks."""

    async def answer(self, _: Request, __: bytes) -> NoReturn:
        """Never called, as no request passes `check`."""
        raise NotImplementedError


class ByMethod(InTask):
    """The endpoints of one route, each with methods of its own. It is itself what answers all of them."""

    def __init__(self, endpoints: Sequence[Served]) -> None:
        self.path = endpoints[0].path
        self._by_method = {method: endpoint for endpoint in endpoints for method in endpoint.methods}
        self._none = NoMethod(self.path, ", ".join(self._by_method))
        self.body_limit = max(endpoint.body_limit for endpoint in endpoints)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it answers."""
        return tuple(self._by_method)

    def of(self, head: Head) -> Served | NoMethod:
        """What answers a request."""
        return self._by_method.get(head.method) or self._none

    def check(self, head: Head) -> None:
        """See from the head alone whether the request can be served.

        Raises:
            Problem: it cannot.
        """
        self.of(head).check(head)

    def user_of(self, head: Head) -> str | None:
        """Whose request this is.

        Raises:
            Problem: 401, 403.
        """
        return self.of(head).user_of(head)

    async def answer(self, request: Request, body: bytes) -> Answer:
        """Answer a request that passed `check`, whatever comes."""
        endpoint = self._by_method[request.method]
        if len(body) > endpoint.body_limit:
            return error_answer(body_too_large(endpoint.body_limit), request.request_id)
        return await endpoint.answer(request, body)
