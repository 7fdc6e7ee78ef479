"""The rules for names, scopes and passwords of users, and the errors of user administration."""

from __future__ import annotations

import re
from collections.abc import Iterable

from protocol.settings.auth import MAX_PASSWORD_BYTES, MIN_PASSWORD_LENGTH, USER_NAME

ADMIN = "admin"
"""The scope of administrators, who may change users."""

SCOPES = frozenset({"read", "write", "observe", ADMIN})
NAME = re.compile(USER_NAME)


class AccountError(Exception):
    """A user cannot be changed like this; the text says why."""


class NoUserError(AccountError):
    """There is no such user."""


class UserExistsError(AccountError):
    """Another user has the name."""


class ChangedMeanwhileError(AccountError):
    """Another administrator changed the user at the same time."""


class LastAdministratorError(AccountError):
    """No user would be left who may administer users."""


def check_name(name: str) -> str:
    """Check a user name: a letter or digit, then up to 63 letters, digits, `.`, `_`, `@` and `-`. Returns it.

    Raises:
        AccountError: the name is not valid.
    """
    if not NAME.fullmatch(name):
        raise AccountError("a user name is a letter or digit, then up to 63 of letters, digits, '.', '_', '@' and '-'")
    return name


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in order, each once.

    Raises:
        AccountError: there is none, or an unknown one.
    """
    wanted = sorted(set(scopes))
    unknown = [ascii(scope) for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise AccountError(f"scopes are some of {', '.join(sorted(SCOPES))}, not {', '.join(unknown) or 'none'}")
    return wanted


def check_password(password: str) -> str:
    """Check a password, and return it.

    Raises:
        AccountError: it is too short, too long, or a login could not send it.
    """
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        raise AccountError("the password is not UTF-8: no login could send it") from None
    if size > MAX_PASSWORD_BYTES:
        raise AccountError(f"a password has at most {MAX_PASSWORD_BYTES} bytes: no login accepts a longer one")
    if len(password) < MIN_PASSWORD_LENGTH:
        raise AccountError(f"a password has at least {MIN_PASSWORD_LENGTH} characters")
    return password
