"""The answer to a request that the gate rejects.

Under overload the api sends more of these than of all other answers. So all but the request id is made in advance.
"""

from __future__ import annotations

import random

import orjson

from api.http.endpoint import problem_answer
from api.http.problems import Kind, Problem, retry_later
from api.http.response import Renderer

LONGEST_WAIT_S = 3
"""`Retry-After` is a random number from 1 to this, as that of `retry_later`."""

_DETAIL = "requests wait as long as is allowed; nothing was applied"
_REQUEST_ID = b"the-request-id"


def rejection() -> Problem:
    """Why the gate rejects a request."""
    return retry_later(Kind.OVERLOADED, _DETAIL)


class Rejections:
    """Makes the answers of one process."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._date = b""
        self._forms: list[tuple[bytes, int]] = []
        """The answer for each wait, without the request id, and the size of its body."""

    def render(self, request_id: bytes) -> bytes:
        """The whole answer, on a connection that stays open: what `Renderer` makes of `rejection()`."""
        if self._date is not self._renderer.date:
            self._date = self._renderer.date
            self._forms = [self._form(wait_s) for wait_s in range(1, LONGEST_WAIT_S + 1)]
        # Jitter is no secret.
        form, size = self._forms[int(random.random() * LONGEST_WAIT_S)]  # noqa: S311
        quoted = orjson.dumps(request_id.decode("ascii"))
        return form % (size + len(quoted), request_id, quoted)

    def _form(self, wait_s: int) -> tuple[bytes, int]:
        answer = problem_answer(Problem(Kind.OVERLOADED, _DETAIL, headers={"Retry-After": str(wait_s)}), _REQUEST_ID)
        (whole,) = self._renderer.render(answer, _REQUEST_ID, close=False)
        quoted = b'"%b"' % _REQUEST_ID
        form = (
            bytes(whole)
            .replace(b"%", b"%%")
            .replace(b"content-length: %d\r\n" % len(answer.body), b"content-length: %d\r\n")
            .replace(quoted, b"%b")
            .replace(_REQUEST_ID, b"%b")
        )
        return form, len(answer.body) - len(quoted)
