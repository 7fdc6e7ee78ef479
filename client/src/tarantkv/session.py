"""The client's identity: the token, and how to get another one when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias


class Credentials(NamedTuple):
    """A user name and a password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, password=…)"


class Refused(NamedTuple):
    """Credentials that the server has refused, why, and until when they are not sent again, on the client's clock."""

    credentials: Credentials
    why: str
    until: float


Ask: TypeAlias = Callable[[], Credentials]


class Session:
    """The token that is sent with requests. `ask` returns the credentials when they are needed; None: logging in is
    impossible.
    """

    def __init__(self, token: str | None, ask: Ask | None) -> None:
        self.token = token
        self.ask = ask
        self.refused: Refused | None = None

    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}

    def __getstate__(self) -> Any:
        raise TypeError("a client holds a token and connections, and cannot be pickled")
