"""What names, scopes and passwords of users may be, and how an administration of users can fail."""

from __future__ import annotations

import re
from collections.abc import Iterable

from protocol.settings.auth import MAX_PASSWORD_BYTES, MIN_PASSWORD_LENGTH, USER_NAME

ADMIN = "admin"
"""The scope of those who administer users."""

SCOPES = frozenset({"read", "write", "observe", ADMIN})
NAME = re.compile(USER_NAME)


class AccountError(Exception):
    """A user cannot be changed in this way; the text says why."""


class NoUserError(AccountError):
    """There is no such user."""


class UserExistsError(AccountError):
    """The name is taken."""


class ChangedMeanwhileError(AccountError):
    """Somebody else changed the user at the same time."""


class LastAdministratorError(AccountError):
    """Nobody would be left who may administer users."""


def check_name(name: str) -> str:
    """The name, if users may have it: a letter or digit, then up to 63 letters, digits, `.`, `_`, `@` and `-`.

    Raises:
        AccountError: they may not.
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
    """The password, if a user may have it.

    Raises:
        AccountError: it is too short, too long, or no login could send it.
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
