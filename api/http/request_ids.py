"""The id of a request: the one that the client sent, if it is valid, or a new one."""

from __future__ import annotations

import re
import secrets
from itertools import count

REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
"""A valid `X-Request-Id`."""


class RequestIds:
    """Makes unique ids."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._counter = count(1)

    def of(self, given: bytes | None) -> bytes:
        """The id of a request whose `X-Request-Id` is `given`."""
        if given is not None and REQUEST_ID.fullmatch(given):
            return given
        return f"{self._prefix}-{next(self._counter):x}".encode()
