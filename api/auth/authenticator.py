"""Authenticates requests: verifies tokens, and caches for five seconds at most what the store says about their users.

When half of that time has passed, an account is looked up again in the background. So the requests of an active client
never wait for a look-up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TypeVar

from api.auth.accounts import Accounts, AccountState
from api.auth.tokens import Claims, TokenError, Tokens
from api.http.problems import Kind, Problem, retry_later
from api.overload.errors import OverloadedError, overloaded
from api.queue.errors import StoreCallError

_log = logging.getLogger(__name__)

MAX_REMEMBERED = 10_000
"""How many tokens have the state of their account cached."""

MAX_READ = 1_000
"""Tokens whose claims are kept between the gate and `authenticate`, until the state of their account is known."""

MAX_ASKING = 1_000
"""Accounts that are looked up at a time; each look-up takes a chunk to two shards."""

MAX_TOKEN_BYTES = 4096
_BEARER = b"bearer "
_REVOKED = "the token was revoked"


T = TypeVar("T")


class Principal:
    """The user who sends a request. `void` says why the token is not accepted any more; None: it is accepted."""

    __slots__ = ("checked_at", "claims", "logged_out", "scopes", "token", "void")

    def __init__(self, token: bytes, claims: Claims, state: AccountState, checked_at: float) -> None:
        self.token = token
        self.claims = claims
        self.checked_at = checked_at
        self.logged_out = False
        self.void: str | None = None
        user = state.user
        if user is None or user.disabled:
            self.void = "the user is disabled"
        elif state.revoked or claims.gen != user.generation:
            self.void = _REVOKED
        self.scopes = frozenset(claims.scopes) & frozenset(user.scopes if user is not None else ())

    @property
    def name(self) -> str:
        """The user's name."""
        return self.claims.sub


def unauthorized(detail: str) -> Problem:
    """A 401 with the challenge that RFC 6750 requires."""
    return Problem(Kind.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="tarant-kv"'})


class Authenticator:
    """Turns `Authorization` headers into principals."""

    def __init__(self, tokens: Tokens, accounts: Accounts, remember_s: float) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._remember_s = remember_s
        # In the order of the last look-up: the first entry is the least recently used one.
        self._remembered: dict[bytes, Principal] = {}
        self._read: dict[bytes, Claims] = {}
        self._asking: dict[bytes, asyncio.Task[Principal]] = {}

    async def authenticate(self, header: bytes | None, scope: str | None = None) -> Principal:
        """The principal of an `Authorization` header, a bare token or one after `Bearer `; it must have `scope`.

        Raises:
            Problem: 401, the token is missing or not valid; 403, the scope is missing; 503, the store cannot be asked.
        """
        token, claims, principal = self._valid(header)
        if principal is None or not self._is_fresh(token, principal):
            principal = await self._ask(token, claims)
        return _permitted(principal, scope)

    async def authenticate_again(self, header: bytes | None, scope: str | None = None) -> None:
        """Check that the user of a long answer may still read. The token may have expired meanwhile.

        Raises:
            Problem: as `authenticate`.
        """
        token = _token(header or b"")
        principal = self._remembered.get(token)
        if principal is None or not self._is_fresh(token, principal):
            try:
                principal = await self._ask(token, principal.claims if principal is not None else self._claims(token))
            except TokenError as error:
                raise unauthorized(str(error)) from None
        _permitted(principal, scope)

    def known(self, header: bytes | None, scope: str | None = None) -> Principal | None:
        """The same if the account's state is cached; None: it must be looked up in the store.

        Raises:
            Problem: 401 or 403.
        """
        token, _, principal = self._valid(header)
        if principal is None or not self._is_fresh(token, principal):
            return None
        return _permitted(principal, scope)

    def user_of(self, header: bytes | None) -> str:
        """The user that an `Authorization` header names, if one of our secrets signed its token and it is valid now.

        No look-up is made: for a token that is not cached it is unknown whether it is revoked or its user disabled.

        Raises:
            Problem: 401, the token is missing or not valid.
        """
        _, claims, principal = self._valid(header)
        if principal is not None and principal.void is not None:
            raise unauthorized(principal.void)
        return claims.sub

    def log_out(self, principal: Principal) -> None:
        """Refuse a principal's token in this process from now on; the store has recorded the revocation already."""
        _void(principal)
        remembered = self._remembered.get(principal.token)
        if remembered is not None:
            # It is another object if the account was looked up again meanwhile.
            _void(remembered)

    def _valid(self, header: bytes | None) -> tuple[bytes, Claims, Principal | None]:
        """The valid token of a header, its claims, and its principal if that is cached.

        Raises:
            Problem: 401.
        """
        if header is None:
            raise unauthorized("the Authorization header is missing")
        token = _token(header)
        principal = self._remembered.get(token)
        try:
            claims = principal.claims if principal is not None else self._claims(token)
            claims.check_time()
        except TokenError as error:
            raise unauthorized(str(error)) from None
        return token, claims, principal

    def _claims(self, token: bytes) -> Claims:
        """The claims of a token that is not cached. They are kept, because both the gate and `authenticate` need them.

        Raises:
            TokenError: none of our secrets signed it.
        """
        claims = self._read.get(token)
        if claims is None:
            if len(token) > MAX_TOKEN_BYTES or not token.isascii():
                raise TokenError("the token is not valid")
            claims = self._tokens.read(token.decode("ascii"))
            _put_last(self._read, token, claims, MAX_READ)
        return claims

    def _is_fresh(self, token: bytes, principal: Principal) -> bool:
        """Whether a cached principal may be used; starts a look-up in the background before it expires."""
        age = time.monotonic() - principal.checked_at
        if age > self._remember_s:
            return False
        if age > self._remember_s / 2 and token not in self._asking and len(self._asking) < MAX_ASKING:
            self._start_asking(token, principal.claims).add_done_callback(_log_failure)
        return True

    async def _ask(self, token: bytes, claims: Claims) -> Principal:
        task = self._asking.get(token)
        if task is None:
            if len(self._asking) >= MAX_ASKING:
                raise overloaded("too many accounts are being looked up")
            task = self._start_asking(token, claims)
        try:
            return await asyncio.shield(task)
        except StoreCallError as error:
            raise retry_later(
                Kind.SHARD_UNAVAILABLE, "the user's account cannot be checked; nothing was applied"
            ) from error

    def _start_asking(self, token: bytes, claims: Claims) -> asyncio.Task[Principal]:
        task = asyncio.get_running_loop().create_task(self._look_up(token, claims), name="authentication.look_up")
        self._asking[token] = task
        task.add_done_callback(lambda _: self._asking.pop(token, None))
        return task

    async def _look_up(self, token: bytes, claims: Claims) -> Principal:
        asked_at = time.monotonic()
        state = await self._accounts.state(claims.sub, claims.jti)
        principal = Principal(token, claims, state, asked_at)
        before = self._remembered.get(token)
        if before is not None and before.logged_out:
            # The store may have answered before the revocation was recorded.
            _void(principal)
        # A token in use is looked up every few seconds and so moves to the end; its other requests do not have to move
        # it.
        _put_last(self._remembered, token, principal, MAX_REMEMBERED)
        self._read.pop(token, None)
        return principal


def _permitted(principal: Principal, scope: str | None) -> Principal:
    """The principal, if it is accepted and has the scope; raises `Problem` otherwise."""
    if principal.void is not None:
        raise unauthorized(principal.void)
    if scope is not None and scope not in principal.scopes:
        raise Problem(Kind.FORBIDDEN, f"the token lacks the scope {scope!r}")
    return principal


def _void(principal: Principal) -> None:
    principal.logged_out = True
    principal.void = _REVOKED


def _put_last(cache: dict[bytes, T], token: bytes, value: T, most: int) -> None:
    """Put an entry at the end of a cache, and evict the first one if there are too many."""
    cache.pop(token, None)
    if len(cache) >= most:
        del cache[next(iter(cache))]
    cache[token] = value


def _token(header: bytes) -> bytes:
    return header[len(_BEARER) :].strip() if header[: len(_BEARER)].lower() == _BEARER else header


def _log_failure(task: asyncio.Task[Principal]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, (Problem, OverloadedError)):
        _log.warning("an account could not be checked", extra={"error": str(error)})
