"""The answer to a rejected request, which is made in advance but for the request id."""

import orjson
import pytest

from api.http.endpoint import error_answer
from api.http.problems import Kind, retry_later
from api.http.rejection import LONGEST_WAIT_S, rejection


@pytest.mark.parametrize("request_id", [b"0123456789ab-1f", b"request-id", b'a"b', b"\\", b"~" * 128, b"%s%b"])
def test_it_is_the_problem_document_that_every_other_error_gets(request_id: bytes) -> None:
    detail = "requests wait as long as is allowed; nothing was applied"
    expected = error_answer(retry_later(Kind.OVERLOADED, detail), request_id)
    answer = rejection(request_id)
    assert answer._replace(headers=()) == expected._replace(headers=())
    assert orjson.loads(answer.body)["request_id"] == request_id.decode()
    assert [name for name, _ in answer.headers] == [name for name, _ in expected.headers]


def test_clients_that_are_rejected_together_do_not_return_together() -> None:
    waits = {int(dict(rejection(b"id").headers)[b"retry-after"]) for _ in range(300)}
    assert waits == set(range(1, LONGEST_WAIT_S + 1))
