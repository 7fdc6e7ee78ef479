"""Decodes requests about users: a new user, a change, or the page that is wanted. A problem names the fault.

The rules are in `api.auth.account_rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, UnsetType

from api.auth.account_rules import AccountError, check_name, check_password, check_scopes
from api.auth.bodies import Body
from api.http.negotiation import Format
from api.http.problems import Kind, Problem, at
from api.http.query import fault

PATTERN = "/api/users/{name}"
"""The path of one user."""

_BEGIN = len("/api/users/")

T = TypeVar("T")
U = TypeVar("U")


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """The body that adds a user. Its text form shows nothing of it."""

    name: str
    password: str
    scopes: list[str]

    def __repr__(self) -> str:
        return "NewUser(…)"


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """The body that changes a user: members that it does not have stay unchanged. Its text form shows nothing of it."""

    password: str | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET

    def __repr__(self) -> str:
        return "UserChange(…)"


_NEW, _CHANGE = Body(NewUser), Body(UserChange)


def new_user(body: bytes, body_format: Format) -> NewUser:
    """Decode a user to add, with valid name, password and scopes.

    Raises:
        Problem: 400.
    """
    user = _NEW.decode(body, body_format)
    _held(check_name, user.name, "name")
    _held(check_password, user.password, "password")
    user.scopes = _held(check_scopes, user.scopes, "scopes")
    return user


def user_change(body: bytes, body_format: Format) -> UserChange:
    """Decode a change of a user; it must have at least one member.

    Raises:
        Problem: 400.
    """
    change = _CHANGE.decode(body, body_format)
    if change.password is not UNSET:
        _held(check_password, change.password, "password")
    if change.scopes is not UNSET:
        change.scopes = _held(check_scopes, change.scopes, "scopes")
    if change.password is UNSET and change.scopes is UNSET and change.disabled is UNSET:
        raise Problem(Kind.INVALID_REQUEST, "a change must name at least one of 'password', 'scopes' and 'disabled'")
    return change


def user_in(path: str) -> str:
    """The name of the user in a path.

    Raises:
        Problem: 400, no user can have it.
    """
    return _held(check_name, unquote(path[_BEGIN:], errors="replace"), "name")


def user_after(name: str | None) -> str:
    """The name after which a page of users begins; empty for the first page.

    Raises:
        Problem: 400, no user can have it.
    """
    try:
        return "" if name is None else check_name(name)
    except AccountError as error:
        raise fault(f"the parameter after is not a user name: {error}", "after") from None


def _held(rule: Callable[[T], U], given: T, member: str) -> U:
    """Apply a rule to a member, and return its result."""
    try:
        return rule(given)
    except AccountError as error:
        raise at(Kind.INVALID_REQUEST, str(error), member) from None
