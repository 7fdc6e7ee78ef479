"""Problem documents."""

import json

import pytest

from api.http.problems import Kind, Problem, at, pointer, retry_later


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({kind.urn for kind in Kind}) == len(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_a_document_says_what_rfc_9457_asks_for(kind: Kind) -> None:
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


def test_a_pointer_escapes_what_the_rfc_says() -> None:
    assert pointer("data", "a/b~c", 3) == "#/data/a~1b~0c/3"


def test_a_problem_with_a_place_points_at_it() -> None:
    assert at(Kind.INVALID_KEY, "why", "keys", 0).members == {"errors": [{"pointer": "#/keys/0", "detail": "why"}]}


def test_what_passes_says_when_to_try_again() -> None:
    assert retry_later(Kind.OVERLOADED, "why", after_s=3).headers == {"Retry-After": "3"}
