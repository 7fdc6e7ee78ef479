"""`login`, `logout`, `whoami`. A password comes from the environment, the input or a prompt, never from an argument."""

from __future__ import annotations

import base64
import getpass
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tarantkv.cli.config import Target, add_profile, config_path, keep_token, target, tokens_path
from tarantkv.cli.exits import DONE, NOT_ALLOWED, UsageError
from tarantkv.cli.json_input import parsed
from tarantkv.cli.opening import client_of, target_of
from tarantkv.cli.output import Output, printable
from tarantkv.cli.program import say
from tarantkv.errors import ForbiddenError

MAX_INPUT_BYTES = 16 * 1024


def login(asked: Namespace) -> int:
    """Get a token and store it."""
    where = target({**vars(asked), "new_profile": True}, os.environ)
    where = _with_password(asked, where)
    with client_of(asked, where._replace(token=None)) as kv:
        token = kv.login()
    assert where.user is not None  # noqa: S101 - `_with_password` has one
    keep_token(tokens_path(os.environ), where.url, where.user, token)
    # An existing profile is not changed.
    path = config_path(os.environ)
    try:
        added = add_profile(path, where.profile, where.url, where.user)
    except UsageError as error:
        # The login itself has succeeded.
        say(str(error))
        return DONE
    if not added and target({"profile": asked.profile}, {**_homes()}).url != where.url:
        say(f"the profile {where.profile} in {path} has another address: use --url {where.url} or --profile NAME")
    say(f"logged in to {where.url} as {printable(where.user)}")
    return DONE


def logout(asked: Namespace) -> int:
    """Revoke the token and forget it."""
    where = target_of(asked)
    user = where.user or str(_claims(where.token).get("sub", ""))
    with client_of(asked, where._replace(password=None)) as kv:
        kv.logout()
    keep_token(tokens_path(os.environ), where.url, user, None)
    return DONE


def whoami(asked: Namespace) -> int:
    """Print the user, scopes and expiry in the token; asks the api whether it still accepts the token."""
    where = target_of(asked)
    if where.token is None and where.password is None:
        say(f"not logged in to {where.url}: tarantkv login")
        return NOT_ALLOWED
    with client_of(asked, where) as kv:
        # A read of a key that does not exist costs very little. Users without the scope are known, too.
        with suppress(ForbiddenError):
            kv.read(["tarantkv:whoami"])
        claims = _claims(kv.token)
    ends = claims.get("exp", 0)
    record = {
        "user": claims.get("sub"),
        "scopes": ",".join(claims.get("scopes", [])),
        "url": where.url,
        "expires_at": ends,
        "valid_for_s": max(0, int(ends - time.time())),
    }
    Output(as_json=asked.json).record(record)
    return DONE


def _with_password(asked: Namespace, where: Target) -> Target:
    """The target with a user and a password.

    Raises:
        UsageError: the user or the password is missing.
    """
    if asked.credentials_stdin:
        try:
            given = parsed(sys.stdin.buffer.read(MAX_INPUT_BYTES))
            return where._replace(user=str(given["username"]), password=str(given["password"]))
        except (ValueError, KeyError, TypeError):
            raise UsageError('the input is not {"username": …, "password": …}') from None
    user = where.user
    if user is None:
        if not sys.stdin.isatty():
            raise UsageError("say who: --user NAME, or TARANTKV_USER")
        sys.stderr.write("User: ")
        user = sys.stdin.readline().strip()
    if asked.password_stdin:
        password = first_line("the password")
    elif where.password is not None:
        password = where.password
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of {printable(user)}: ")
    else:
        raise UsageError("no password: use --password-stdin, TARANTKV_PASSWORD or a terminal")
    if not user or not password:
        raise UsageError("a user name and a password are needed")
    _check_text("user name", user)
    _check_text("password", password)
    return where._replace(user=user, password=password)


def _check_text(what: str, text: str) -> None:
    """Check that a text can be sent: Python keeps bytes that are not UTF-8 in an argument or a variable as surrogates.

    Raises:
        UsageError: it cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the {what} is not UTF-8") from None


def first_line(what: str) -> str:
    """The first line of the input.

    Raises:
        UsageError: it is not UTF-8.
    """
    try:
        return sys.stdin.buffer.readline(MAX_INPUT_BYTES).rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise UsageError(f"{what} is not UTF-8") from None


def _claims(token: str | None) -> dict[str, Any]:
    """The claims of a token; its signature is not checked here."""
    try:
        payload = (token or "").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _homes() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("XDG_")}


COMMANDS: dict[str, Callable[[Namespace], int]] = {"login": login, "logout": logout, "whoami": whoami}
