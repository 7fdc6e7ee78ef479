"""A request's body, where it is there from the beginning."""

import asyncio
import gc

import pytest

from api.http.endpoint import Incoming
from api.http.problems import Kind, Problem
from api.overload.memory_budgets import BodyBudget

BODY = b"x" * 1000


def taken(request: Incoming, limit: int, budget: BodyBudget) -> bytes:
    with budget.share() as held:
        body = asyncio.run(request.body(limit, 1.0, held))
        assert budget.held == len(body)
    return body


def test_a_body_is_counted_and_afterwards_held_by_nobody_else() -> None:
    request = Incoming([], "127.0.0.1", b"id", whole=BODY)
    assert BODY in gc.get_referents(request)
    assert taken(request, len(BODY), BodyBudget(len(BODY))) == BODY
    assert BODY not in gc.get_referents(request)


@pytest.mark.parametrize("announced", [[(b"content-length", b"1000")], []])
def test_a_body_that_is_too_large_is_refused_whether_its_length_was_announced_or_not(
    announced: list[tuple[bytes, bytes]],
) -> None:
    with pytest.raises(Problem) as refused:
        taken(Incoming(announced, "127.0.0.1", b"id", whole=BODY), len(BODY) - 1, BodyBudget(len(BODY)))
    assert refused.value.kind is Kind.BODY_TOO_LARGE


def test_a_body_for_which_other_bodies_leave_no_room_is_refused() -> None:
    budget = BodyBudget(len(BODY))
    with budget.share() as other:
        other.add(1)
        with pytest.raises(Problem) as refused:
            taken(Incoming([], "127.0.0.1", b"id", whole=BODY), len(BODY), budget)
    assert refused.value.kind is Kind.OVERLOADED
