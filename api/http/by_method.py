"""A route that several endpoints share, each with a method of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from api.http.endpoint import InTask, Served
from api.http.head import Head
from api.http.problems import Kind, Problem
from api.http.request import Request


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


class ByMethod:
    """The endpoints of one route."""

    def __init__(self, endpoints: Sequence[Served]) -> None:
        self.path = endpoints[0].path
        self._by_method = {method: endpoint for endpoint in endpoints for method in endpoint.methods}
        self._none = NoMethod(self.path, ", ".join(self._by_method))

    def of(self, head: Head) -> Served | NoMethod:
        """What answers a request."""
        return self._by_method.get(head.method) or self._none
