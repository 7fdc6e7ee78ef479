"""How both clients handle their arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tarantkv.session import Ask, Credentials, Session


def session_of(username: str | None, password: str | None, token: str | None, credentials: Ask | None) -> Session:
    """The identity of the client.

    Raises:
        ValueError: the arguments contradict each other.
    """
    if (username is None) != (password is None):
        raise ValueError("a user name needs a password, and a password a user name")
    if username is not None and password is not None:
        if credentials is not None:
            raise ValueError("give either a user name and a password or credentials")
        known = Credentials(username, password)
        return Session(token, lambda: known)
    return Session(token, credentials)


def proxied(url: str) -> bool:
    """Whether the environment names a proxy for this address; httpx2 decides which hosts are excluded.

    This machine's own addresses use no proxy: the proxy would look for the api on its own machine.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return False
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return any(os.environ.get(name) for name in names)


def selected(prefix: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The selectors of a scan or an export, with the names of the api. None counts as not given."""
    given = {"prefix": prefix, **{name.rstrip("_"): value for name, value in options.items()}}
    return {name: value for name, value in given.items() if value is not None}
