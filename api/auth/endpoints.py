"""The routes of logins and logouts."""

from __future__ import annotations

from typing import Any

from api.auth.account_rules import NAME
from api.auth.accounts import Accounts, User
from api.auth.authenticator import Authenticator, Principal, unauthorized
from api.auth.login_request import decode_login
from api.auth.login_throttle import LoginThrottle, network_of
from api.auth.passwords import Passwords
from api.auth.tokens import Tokens
from api.http import endpoint
from api.http.endpoint import Endpoint
from api.http.negotiation import accepted, format_of
from api.http.problems import Kind, Problem, retry_later
from api.http.request import Request
from api.http.response import Answer, document
from api.queue.errors import StoreCallError

SUCCESS = {"status": "success"}


class Login(Endpoint):
    """`POST /api/login`: takes name and password, and returns a token."""

    path = "/api/login"
    authenticated = False
    # Any client may send this, so it must not take the memory that batches need.
    max_body = 16 * 1024

    def __init__(
        self, accounts: Accounts, tokens: Tokens, passwords: Passwords, throttle: LoginThrottle, *base: Any
    ) -> None:
        super().__init__(*base)
        self._accounts = accounts
        self._tokens = tokens
        self._passwords = passwords
        self._throttle = throttle

    async def handle(self, request: Request, body: bytes, principal: endpoint.Principal | None) -> Answer:  # noqa: ARG002
        name, user = await self.checked(request, body)
        token = self._tokens.issue(name, user.scopes, user.generation)
        return document({"token": token}, accepted(request.headers.get(b"accept")))

    async def checked(self, request: Request, body: bytes) -> tuple[str, User]:
        """Check name and password; returns the name and the user.

        Raises:
            Problem: 400, the body is not valid; 401, the name or the password is wrong; 429; 503.
        """
        login = decode_login(body, format_of(request.headers.get(b"content-type")))
        await self._throttle.check(login.username, request.address)
        user = await self._look_up(login.username)
        password_hash = user.password_hash if user is not None else None
        right = await self._passwords.verify(password_hash, login.password, network_of(request.address))
        if not right or user is None or user.disabled:
            await self._throttle.failed(login.username, request.address)
            raise unauthorized("the user name or the password is wrong")
        return login.username, user

    async def _look_up(self, name: str) -> User | None:
        try:
            # A name that no user can have is looked up, too: otherwise its answer would come sooner.
            state = await self._accounts.state(name if NAME.fullmatch(name) else "-")
        except StoreCallError as error:
            raise retry_later(Kind.SHARD_UNAVAILABLE, "the user's account cannot be read") from error
        return state.user


class Logout(Endpoint):
    """`POST /api/logout`: revokes the token of the request."""

    path = "/api/logout"
    max_body = 16

    def __init__(self, accounts: Accounts, authenticator: Authenticator, *base: Any) -> None:
        super().__init__(authenticator, *base)
        self._accounts = accounts
        self._sessions = authenticator

    async def handle(self, request: Request, body: bytes, principal: endpoint.Principal | None) -> Answer:
        if body not in (b"", b"{}", b"\x80"):
            raise Problem(Kind.INVALID_REQUEST, "a logout has no body, or an empty object")
        if not isinstance(principal, Principal):
            raise unauthorized("the Authorization header is missing")
        try:
            await self._accounts.revoke(principal.name, principal.claims.jti, principal.claims.exp)
        except StoreCallError as error:
            raise retry_later(
                Kind.SHARD_UNAVAILABLE, "the token is not revoked everywhere yet; log out again"
            ) from error
        self._sessions.log_out(principal)
        return document(SUCCESS, accepted(request.headers.get(b"accept")))
