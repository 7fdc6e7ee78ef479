"""The answer to a request that the gate rejects.

Under overload the api sends more of these than of all other answers. So all but the request id is made in advance.
"""

from __future__ import annotations

import random

import orjson

from api.http.endpoint import problem_answer
from api.http.problems import Kind, Problem
from api.http.response import Answer

LONGEST_WAIT_S = 3
"""`Retry-After` is a random number from 1 to this, as that of `retry_later`."""

_DETAIL = "requests wait as long as is allowed; nothing was applied"
_REQUEST_ID = b"request-id"


def _made_for(wait_s: int) -> tuple[bytes, bytes, Answer]:
    """The body before and after the request id, and an answer with everything else."""
    problem = Problem(Kind.OVERLOADED, _DETAIL, headers={"Retry-After": str(wait_s)})
    answer = problem_answer(problem, _REQUEST_ID)
    begin, end = bytes(answer.body).split(b'"%b"' % _REQUEST_ID)
    return begin, end, answer


_ANSWERS = tuple(_made_for(wait_s) for wait_s in range(1, LONGEST_WAIT_S + 1))


def rejection(request_id: bytes) -> Answer:
    """The answer to one rejected request."""
    # Jitter is no secret.
    begin, end, answer = _ANSWERS[int(random.random() * LONGEST_WAIT_S)]  # noqa: S311
    body = b"%b%b%b" % (begin, orjson.dumps(request_id.decode("ascii")), end)
    return Answer(answer.status, answer.media_type, body, answer.headers)
