"""`/api/users`: administrators list, add, change and remove users. Each change leaves a line in the log.

`python -m api.manage` does the same on the machine itself, by the same `api.auth.accounts`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, TypeVar

from msgspec import UNSET

from api.auth.account_rules import (
    ADMIN,
    AccountError,
    ChangedMeanwhileError,
    LastAdministratorError,
    NoUserError,
    UserExistsError,
)
from api.auth.accounts import LIST_PAGE, Accounts, User
from api.auth.authenticator import unauthorized
from api.auth.login_throttle import network_of
from api.auth.passwords import Passwords
from api.auth.user_requests import PATTERN, new_user, user_after, user_change, user_in
from api.http.endpoint import Endpoint, Principal
from api.http.negotiation import accepted, format_of
from api.http.problems import Kind, Problem, retry_later
from api.http.query import number, parameters
from api.http.request import Request
from api.http.response import Answer, document
from api.queue.errors import StoreCallError

_log = logging.getLogger(__name__)

T = TypeVar("T")

_KINDS: dict[type[AccountError], Kind] = {
    NoUserError: Kind.USER_NOT_FOUND,
    UserExistsError: Kind.USER_EXISTS,
    ChangedMeanwhileError: Kind.USER_CHANGED,
    LastAdministratorError: Kind.LAST_ADMINISTRATOR,
}


class UserEndpoint(Endpoint):
    """What the endpoints share."""

    path = PATTERN
    scope = ADMIN
    # The same limit as for a login: a name and a password.
    max_body: int | None = 16 * 1024

    def __init__(self, accounts: Accounts, passwords: Passwords, *base: Any) -> None:
        super().__init__(*base)
        self._accounts = accounts
        self._passwords = passwords

    async def _carried_out(self, work: Awaitable[T]) -> T:
        """Wait for `work` on the accounts, and turn its errors into problems.

        Raises:
            Problem: 400, 404, 409, 503.
        """
        try:
            return await work
        except AccountError as error:
            raise Problem(_KINDS.get(type(error), Kind.INVALID_REQUEST), str(error)) from error
        except StoreCallError as error:
            detail = "a shard that stores this user does not answer; the change may be incomplete: send it again"
            raise retry_later(Kind.SHARD_UNAVAILABLE, detail) from error

    async def _hash(self, password: str, request: Request) -> str:
        return await self._passwords.hash_beside(password, network_of(request.address))


def _by(principal: Principal | None) -> str:
    """The name of the administrator who asks."""
    if principal is None:
        raise unauthorized("the Authorization header is missing")
    return principal.name


def _note(done: str, name: str, request: Request, by: str, **what: Any) -> None:
    """Log a change, without any password."""
    every = {"user": name, "by": by, "request_id": request.request_id.decode("ascii"), **what}
    _log.info("%s a user", done, extra=every)


def _row(name: str, user: User) -> dict[str, Any]:
    return {"name": name, "scopes": user.scopes, "disabled": user.disabled}


def _answer(request: Request, content: dict[str, Any], status: int = 200) -> Answer:
    return document(content, accepted(request.headers.get(b"accept")), status)


class ListUsers(UserEndpoint):
    """`GET /api/users`: a page of users by name."""

    path = "/api/users"
    method = "GET"
    answers_head = True
    max_body = 0

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        asked = parameters(request.query, ("after", "limit"))
        after, limit = user_after(asked.get("after")), number(asked, "limit", LIST_PAGE, 1, LIST_PAGE)
        page, more = await self._carried_out(self._accounts.page(after, limit))
        return _answer(request, {"users": [_row(*each) for each in page.items()], "complete": not more})


class AddUser(UserEndpoint):
    """`POST /api/users`: adds a user."""

    path = "/api/users"

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        parameters(request.query, ())
        user, by = new_user(body, format_of(request.headers.get(b"content-type"))), _by(principal)
        password_hash = await self._hash(user.password, request)
        await self._carried_out(self._accounts.create(user.name, password_hash, user.scopes))
        _note("added", user.name, request, by, scopes=user.scopes)
        return _answer(request, {"name": user.name, "scopes": user.scopes, "disabled": False}, 201)


class GetUser(UserEndpoint):
    """`GET /api/users/{name}`: one user."""

    method = "GET"
    answers_head = True
    max_body = 0

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        name = user_in(request.path)
        parameters(request.query, ())
        user = (await self._carried_out(self._accounts.state(name))).user
        if user is None:
            raise Problem(Kind.USER_NOT_FOUND, f"there is no user {name}")
        return _answer(request, _row(name, user))


class ChangeUser(UserEndpoint):
    """`PATCH /api/users/{name}`: another password, other scopes, disabled or enabled."""

    method = "PATCH"

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        name, by = user_in(request.path), _by(principal)
        parameters(request.query, ())
        asked = user_change(body, format_of(request.headers.get(b"content-type")))
        changes: dict[str, Any] = {}
        if asked.scopes is not UNSET:
            changes["scopes"] = asked.scopes
        if asked.disabled is not UNSET:
            changes["disabled"] = asked.disabled
        noted = dict(changes)
        if asked.password is not UNSET:
            changes["password_hash"] = await self._hash(asked.password, request)
            noted["new_password"] = True
        user = await self._carried_out(self._accounts.change(name, by=by, **changes))
        _note("changed", name, request, by, **noted)
        return _answer(request, _row(name, user))


class RemoveUser(UserEndpoint):
    """`DELETE /api/users/{name}`: removes a user."""

    method = "DELETE"
    max_body = 0

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        name, by = user_in(request.path), _by(principal)
        parameters(request.query, ())
        await self._carried_out(self._accounts.remove(name, by=by))
        _note("removed", name, request, by)
        return _answer(request, {"status": "success"})
