"""How much may be under way at a time."""

import pytest

from api.admission import Admission, BodyBudget
from api.problems import Kind, Problem


def admission(chunks: int = 2, size: int = 100) -> Admission:
    return Admission(["s1", "s2"], max_chunks=chunks, max_bytes=size)


def test_as_many_chunks_as_allowed_are_admitted_and_no_more() -> None:
    gate = admission(chunks=2)
    gate.admit([("s1", 1), ("s1", 1)])
    with pytest.raises(Problem) as caught:
        gate.admit([("s1", 1)])
    assert caught.value.kind is Kind.OVERLOADED
    assert caught.value.headers["Retry-After"] == "1"


def test_as_many_bytes_as_allowed_are_admitted_and_no_more() -> None:
    gate = admission(chunks=9, size=100)
    gate.admit([("s1", 60), ("s1", 40)])
    with pytest.raises(Problem):
        gate.admit([("s1", 1)])


def test_a_chunk_larger_than_the_limit_is_admitted_alone() -> None:
    gate = admission(size=100)
    gate.admit([("s1", 101)])
    with pytest.raises(Problem):
        gate.admit([("s1", 1)])


def test_a_full_shard_does_not_keep_others_from_being_admitted() -> None:
    gate = admission(chunks=1)
    gate.admit([("s1", 1)])
    gate.admit([("s2", 1)])


def test_a_batch_that_does_not_fit_leaves_nothing_counted() -> None:
    gate = admission(chunks=1)
    gate.admit([("s2", 1)])
    with pytest.raises(Problem):
        gate.admit([("s1", 1), ("s2", 1)])
    assert gate.chunks == {"s1": 0, "s2": 1}
    assert gate.bytes == {"s1": 0, "s2": 1}


def test_what_is_released_makes_room() -> None:
    gate = admission(chunks=1)
    gate.admit([("s1", 7)])
    gate.release("s1", 7)
    gate.admit([("s1", 7)])
    assert gate.bytes["s1"] == 7


def test_bodies_past_the_budget_are_refused() -> None:
    budget = BodyBudget(100)
    with budget.share() as first, budget.share() as second:
        first.add(60)
        second.add(40)
        with pytest.raises(Problem) as caught:
            second.add(1)
    assert caught.value.kind is Kind.OVERLOADED


def test_a_body_larger_than_the_budget_is_taken_while_there_is_no_other() -> None:
    budget = BodyBudget(100)
    with budget.share() as alone:
        alone.add(60)
        alone.add(60)
        assert budget.held == 120


def test_a_body_gives_its_bytes_back_also_after_a_failure() -> None:
    budget = BodyBudget(100)

    def fail() -> None:
        with budget.share() as share:
            share.add(60)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert budget.held == 0
