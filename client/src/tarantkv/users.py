"""The calls about users as steps, without input and output; administrators use them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from tarantkv.effects import Steps
from tarantkv.models import User
from tarantkv.sending import Call, Sender
from tarantkv.wire import document

PATH = "/api/users"


def list_users(sender: Sender) -> Steps[list[User]]:
    """All users by name."""
    found: list[User] = []
    until = sender.until()
    complete = False
    while not complete:
        after = f"?after={quote(found[-1].name, safe='')}" if found else ""
        page = yield from sender.document(Call(PATH + after, method="GET"), until)
        found += [_user(row) for row in page["users"]]
        complete = page["complete"] or not page["users"]
    return found


def get_user(sender: Sender, name: str) -> Steps[User]:
    """One user."""
    return _user((yield from sender.document(Call(_path(name), method="GET"), sender.until())))


def add_user(sender: Sender, name: str, password: str, scopes: Iterable[str]) -> Steps[User]:
    """Add a user."""
    body = document({"name": name, "password": password, "scopes": list(scopes)})
    # A repetition could only find that the name is taken.
    return _user((yield from sender.document(Call(PATH, body, changes=True, patient=False), sender.until())))


def change_user(
    sender: Sender,
    name: str,
    password: str | None,
    scopes: Iterable[str] | None,
    disabled: bool | None,  # noqa: FBT001
) -> Steps[User]:
    """Change the properties that are not None."""
    changes: dict[str, Any] = {"password": password, "scopes": scopes and list(scopes), "disabled": disabled}
    body = document({member: value for member, value in changes.items() if value is not None})
    # Repeating the change has no further effect.
    return _user((yield from sender.document(Call(_path(name), body, method="PATCH"), sender.until())))


def remove_user(sender: Sender, name: str) -> Steps[None]:
    """Remove a user."""
    yield from sender.document(Call(_path(name), method="DELETE", patient=False), sender.until())


def _path(name: str) -> str:
    return f"{PATH}/{quote(name, safe='', errors='surrogatepass')}"


def _user(row: dict[str, Any]) -> User:
    return User(row["name"], row["scopes"], row["disabled"])
