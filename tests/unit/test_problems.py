"""Problem documents."""

import json

import pytest

from api.http.problems import Kind, Problem, at, pointer, problem_of, retry_later
from api.overload.errors import overloaded


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({kind.urn for kind in Kind}) == len(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_a_document_has_the_members_of_rfc_9457(kind: Kind) -> None:
    document = json.loads(Problem(kind, "why").body("id-1"))
    assert document["type"].startswith("urn:tarant-kv:problem:")
    assert document["status"] == kind.status
    assert 400 <= document["status"] < 600
    assert document["title"] == kind.title
    assert document["detail"] == "why"
    assert document["request_id"] == "id-1"


def test_further_members_stand_beside_the_usual_ones() -> None:
    problem = Problem(Kind.OUTCOME_UNKNOWN, "", members={"failed": {"k": "unknown"}})
    assert json.loads(problem.body("x"))["failed"] == {"k": "unknown"}


def test_a_pointer_escapes_what_rfc_6901_demands() -> None:
    assert pointer("data", "a/b~c", 3) == "#/data/a~1b~0c/3"


def test_a_problem_with_a_place_points_at_it() -> None:
    assert at(Kind.INVALID_KEY, "why", "keys", 0).members == {"errors": [{"pointer": "#/keys/0", "detail": "why"}]}


def test_a_pointer_is_a_fragment_of_a_uri() -> None:
    assert pointer("data", 'a b%\u00e9\ud800"#?') == "#/data/a%20b%25%C3%A9%ED%A0%80%22%23?"


def test_temporary_problems_have_a_random_retry_after() -> None:
    waits = {retry_later(Kind.OVERLOADED, "why", after_s=3).headers["Retry-After"] for _ in range(200)}
    assert waits == {str(seconds) for seconds in range(3, 10)}


def test_errors_of_the_lower_layers_have_a_problem_in_the_table() -> None:
    problem = problem_of(overloaded("too much"))
    assert problem is not None
    assert (problem.kind, problem.detail) == (Kind.OVERLOADED, "too much; nothing was applied")
    assert problem_of(ValueError("nobody foresaw this")) is None
