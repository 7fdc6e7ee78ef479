"""The API's endpoints as the console's page calls them: `/console/api/…`, by the session's cookie.

The API itself accepts only tokens. This module turns the session's cookie into one, and only for requests of the
console's own page.
"""

from __future__ import annotations

from typing import Any

from api.auth.account_rules import SCOPES
from api.auth.authenticator import Principal as Session
from api.auth.authenticator import unauthorized
from api.auth.endpoints import Login, Logout
from api.console import session_cookie
from api.http.endpoint import Authenticator, Endpoint, Principal, Served, error_answer
from api.http.head import Head
from api.http.negotiation import accepted
from api.http.problems import Kind, Problem
from api.http.request import Request
from api.http.response import Answer, document
from protocol.settings import BatchSettings
from protocol.version import VERSION

PREFIX = "/console"

SCOPE = "observe"
"""Users without this scope cannot log in to the console."""

_USED = SCOPES - {"admin"}
"""The scopes that a session can have: those that the console uses."""


class FromConsole(Served):
    """An endpoint of the API behind the session's cookie. The endpoint checks everything except the cookie."""

    def __init__(self, endpoint: Endpoint, authenticator: Authenticator) -> None:
        self._endpoint = endpoint
        self._authenticator = authenticator
        self.path = PREFIX + endpoint.path
        self.body_limit = endpoint.body_limit
        self.methods = endpoint.methods

    def check(self, head: Head) -> None:
        """Check from the head alone whether the request can be served.

        Raises:
            Problem: as the endpoint raises it.
        """
        self._endpoint.check(head)

    def user_of(self, head: Head) -> str | None:
        """The user of the session, by the signature of its token.

        Raises:
            Problem: 401, 403.
        """
        return self._authenticator.user_of(session_cookie.token_of(head.method, head.fields))

    async def answer(self, request: Request, body: bytes) -> Answer:
        """Answer a request that passed `check`; never raises."""
        try:
            token = session_cookie.token_of(request.method, request.headers)
        except Problem as problem:
            return error_answer(problem, request.request_id)
        # A token besides the cookie could be another user's.
        fields = {name: value for name, value in request.headers.items() if name not in (b"cookie", b"authorization")}
        asked = Request(
            request.method,
            request.path.removeprefix(PREFIX),
            request.query,
            {**fields, b"authorization": token},
            address=request.address,
            request_id=request.request_id,
            arrived=request.arrived,
        )
        return await self._endpoint.answer(asked, body)


class ConsoleLogin(Login):
    """`POST /console/api/login`: takes name and password, and begins a session."""

    path = PREFIX + Login.path

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        # No other page may log a browser in, not even as another user.
        session_cookie.check_origin(request.method, request.headers)
        name, user = await self.checked(request, body)
        if SCOPE not in user.scopes:
            raise Problem(Kind.FORBIDDEN, f"the user lacks the scope {SCOPE!r}, which the console needs")
        token = self._tokens.issue(name, sorted(_USED.intersection(user.scopes)), user.generation)
        answer = document({"status": "success"}, accepted(request.headers.get(b"accept")))
        return answer._replace(headers=(session_cookie.begin(token),))


class ConsoleLogout(FromConsole):
    """`POST /console/api/logout`: revokes the session's token, and lets the browser forget it."""

    def __init__(self, endpoint: Logout, authenticator: Authenticator) -> None:
        super().__init__(endpoint, authenticator)

    async def answer(self, request: Request, body: bytes) -> Answer:
        """Answer a request. If the token was not revoked everywhere, the cookie is kept, so that the logout can be
        tried again.
        """
        answer = await super().answer(request, body)
        return answer._replace(headers=(*answer.headers, session_cookie.end())) if answer.status == 200 else answer


class SessionOf(Endpoint):
    """`GET /console/api/session`: which user is logged in, and with which scopes."""

    path = "/api/session"
    method = "GET"
    scope = SCOPE
    max_body = 0

    def __init__(self, authenticator: Authenticator, limits: BatchSettings) -> None:
        super().__init__(authenticator, limits)

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        if not isinstance(principal, Session):
            raise unauthorized("there is no valid session: log in")
        content: dict[str, Any] = {
            "user": principal.name,
            "scopes": sorted(principal.scopes),
            "expires_at": principal.claims.exp,
            "version": VERSION,
        }
        return document(content, accepted(request.headers.get(b"accept")))
