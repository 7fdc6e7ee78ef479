"""Who sends a request: verifies tokens and remembers, for at most five seconds, what the store says of their users.

A remembered account is asked about again in the background once half of that time has passed, so that the requests of
an active client never wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import time

from api.auth.accounts import Accounts, AccountState
from api.auth.tokens import Claims, TokenError, Tokens
from api.http.problems import Kind, Problem, retry_later
from api.queue.store_calls import ControlError

_log = logging.getLogger(__name__)

MAX_REMEMBERED = 10_000
MAX_TOKEN_BYTES = 4096
_BEARER = b"bearer "
_REVOKED = "the token was revoked"


class Principal:
    """The user behind a request. `void` says why the token is good no more, if it is not."""

    __slots__ = ("checked_at", "claims", "logged_out", "scopes", "void")

    def __init__(self, claims: Claims, state: AccountState, checked_at: float) -> None:
        self.claims = claims
        self.checked_at = checked_at
        self.logged_out = False
        self.void: str | None = None
        user = state.user
        if user is None or user.disabled:
            self.void = "the user is disabled"
        elif state.revoked or claims.iat < user.not_before:
            self.void = _REVOKED
        self.scopes = frozenset(claims.scopes) & frozenset(user.scopes if user is not None else ())

    @property
    def name(self) -> str:
        """The user's name."""
        return self.claims.sub


def unauthorized(detail: str) -> Problem:
    """A 401 with the challenge that RFC 6750 asks for."""
    return Problem(Kind.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="tarant-kv"'})


class Authenticator:
    """Turns `Authorization` headers into principals."""

    def __init__(self, tokens: Tokens, accounts: Accounts, remember_s: float) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._remember_s = remember_s
        self._remembered: dict[bytes, Principal] = {}
        self._asking: dict[bytes, asyncio.Task[Principal]] = {}

    async def authenticate(self, header: bytes | None, scope: str | None = None) -> Principal:
        """The principal of an `Authorization` header, bare token or after `Bearer `, who must have `scope`.

        Raises:
            Problem: 401 for a token that is missing or not valid, 403 without the scope, 503 if the store cannot
                be asked.
        """
        if header is None:
            raise unauthorized("the Authorization header is missing")
        token = _token(header)
        principal = self._remembered.get(token)
        if principal is None or not self._usable(token, principal):
            principal = await self._ask(token)
        if principal.void is not None:
            raise unauthorized(principal.void)
        if scope is not None and scope not in principal.scopes:
            raise Problem(Kind.FORBIDDEN, f"the token lacks the scope {scope!r}")
        return principal

    def user_of(self, header: bytes) -> str | None:
        """The user whom an `Authorization` header was good for not long ago; None if there is none. Asks nobody."""
        principal = self._remembered.get(_token(header))
        return principal.name if principal is not None and principal.void is None else None

    def log_out(self, principal: Principal) -> None:
        """Treat a principal's token, which the store has as revoked, as void in this process at once."""
        principal.logged_out = True
        principal.void = _REVOKED

    def _usable(self, token: bytes, principal: Principal) -> bool:
        if principal.claims.exp < time.time():
            return False
        age = time.monotonic() - principal.checked_at
        if age > self._remember_s:
            return False
        if age > self._remember_s / 2 and token not in self._asking:
            self._start_asking(token).add_done_callback(_log_failure)
        return True

    async def _ask(self, token: bytes) -> Principal:
        task = self._asking.get(token) or self._start_asking(token)
        try:
            return await asyncio.shield(task)
        except ControlError as error:
            raise retry_later(
                Kind.SHARD_UNAVAILABLE, "the user's account cannot be checked; nothing was applied"
            ) from error

    def _start_asking(self, token: bytes) -> asyncio.Task[Principal]:
        task = asyncio.get_running_loop().create_task(self._look_up(token), name="authentication.look_up")
        self._asking[token] = task
        task.add_done_callback(lambda _: self._asking.pop(token, None))
        return task

    async def _look_up(self, token: bytes) -> Principal:
        claims = self._verify(token)
        asked_at = time.monotonic()
        state = await self._accounts.state(claims.sub, claims.jti)
        principal = Principal(claims, state, asked_at)
        before = self._remembered.get(token)
        if before is not None and before.logged_out:
            # The store was asked before it knew.
            self.log_out(principal)
        if len(self._remembered) >= MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[token] = principal
        return principal

    def _verify(self, token: bytes) -> Claims:
        if len(token) > MAX_TOKEN_BYTES:
            raise unauthorized("the token is not valid")
        try:
            return self._tokens.verify(token.decode("ascii"))
        except TokenError as error:
            raise unauthorized(str(error)) from None
        except UnicodeDecodeError:
            raise unauthorized("the token is not valid") from None


def _token(header: bytes) -> bytes:
    return header[len(_BEARER) :].strip() if header[: len(_BEARER)].lower() == _BEARER else header


def _log_failure(task: asyncio.Task[Principal]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, Problem):
        _log.warning("an account could not be checked", extra={"error": str(error)})
