"""`users`: administers the users of the api. A new password comes from the input, the environment or a prompt."""

from __future__ import annotations

import getpass
import os
import secrets
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from tarantkv.cli.accounts import first_line
from tarantkv.cli.exits import DONE, UsageError
from tarantkv.cli.opening import client_of
from tarantkv.cli.output import Output, printable
from tarantkv.cli.program import say
from tarantkv.client import Client
from tarantkv.models import User

NEW_PASSWORD = "TARANTKV_NEW_PASSWORD"  # noqa: S105 - a variable's name
_COLUMNS = ("name", "scopes", "state")

Record = dict[str, Any]


def run(asked: Namespace) -> int:
    """Run an action, and print the users that it concerns."""
    if asked.action == "list" and asked.name is not None:
        raise UsageError("list shows all users; show NAME shows one")
    if asked.action != "list" and asked.name is None:
        raise UsageError(f"say who: tarantkv users {asked.action} NAME")
    if (asked.action == "scopes") != (asked.scopes is not None) and asked.action != "add":
        raise UsageError("users scopes NAME --scopes read,write says anew what a user may do")
    # The password is asked for before anything is sent.
    password = _new_password(asked) if asked.action in ("add", "password") else None
    if asked.action == "remove" and not asked.yes and not _agrees(asked.name):
        raise UsageError("nothing was removed")
    with client_of(asked) as kv:
        records = _ACTIONS[asked.action](kv, asked, password)
    if asked.random and password is not None:
        records[0]["password"] = password
    Output(as_json=asked.json).records(records, (*_COLUMNS, "password") if asked.random else _COLUMNS)
    return DONE


def _list(kv: Client, _: Namespace, __: str | None) -> list[Record]:
    return [_record(user) for user in kv.users()]


def _show(kv: Client, asked: Namespace, _: str | None) -> list[Record]:
    return [_record(kv.user(asked.name))]


def _add(kv: Client, asked: Namespace, password: str | None) -> list[Record]:
    return [_record(kv.add_user(asked.name, password or "", _scopes(asked.scopes or "read,write")))]


def _password(kv: Client, asked: Namespace, password: str | None) -> list[Record]:
    user = kv.change_user(asked.name, password=password or "")
    say(f"the tokens of {printable(user.name)} end within seconds; log in again")
    return [_record(user)]


def _set_scopes(kv: Client, asked: Namespace, _: str | None) -> list[Record]:
    return [_record(kv.change_user(asked.name, scopes=_scopes(asked.scopes)))]


def _disable(kv: Client, asked: Namespace, _: str | None) -> list[Record]:
    return [_record(kv.change_user(asked.name, disabled=asked.action == "disable"))]


def _remove(kv: Client, asked: Namespace, _: str | None) -> list[Record]:
    kv.remove_user(asked.name)
    return [{"name": asked.name, "scopes": "", "state": "removed"}]


_ACTIONS: dict[str, Callable[[Client, Namespace, str | None], list[Record]]] = {
    "list": _list,
    "show": _show,
    "add": _add,
    "password": _password,
    "scopes": _set_scopes,
    "disable": _disable,
    "enable": _disable,
    "remove": _remove,
}


def _record(user: User) -> Record:
    state = "disabled" if user.disabled else "enabled"
    return {"name": user.name, "scopes": ",".join(user.scopes), "state": state}


def _scopes(given: str) -> list[str]:
    return [scope.strip() for scope in given.split(",") if scope.strip()]


def _new_password(asked: Namespace) -> str:
    """The password for a user.

    Raises:
        UsageError: the password is missing.
    """
    if asked.random:
        return secrets.token_urlsafe(18)
    if asked.password_stdin:
        given = first_line("the password")
    elif os.environ.get(NEW_PASSWORD):
        given = os.environ[NEW_PASSWORD]
    elif sys.stdin.isatty():
        given = getpass.getpass(f"New password of {printable(asked.name)}: ")
        if given != getpass.getpass("Once more: "):
            raise UsageError("the two are not the same; nothing was changed")
    else:
        raise UsageError(f"no password: use --password-stdin, --random, {NEW_PASSWORD} or a terminal")
    if not given:
        raise UsageError("the password is empty")
    return given


def _agrees(name: str) -> bool:
    """Whether the person at the terminal agrees; without a terminal, --yes is needed."""
    if not sys.stdin.isatty():
        raise UsageError(f"to remove {printable(name)} without a question: --yes")
    sys.stderr.write(f"Remove {printable(name)}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


COMMANDS: dict[str, Callable[[Namespace], int]] = {"users": run}
