"""The memory budgets: how many bytes requests may hold."""

import pytest

from api.overload.errors import OverloadedError
from api.overload.memory_budgets import AnswerBudget, AnswerShare, BodyBudget
from api.overload.tuning import FEW_KEYS, SMALL_BYTES


def test_bodies_beyond_the_budget_are_refused() -> None:
    budget = BodyBudget(100)
    with budget.share() as first, budget.share() as second:
        first.add(60)
        second.add(40)
        with pytest.raises(OverloadedError) as caught:
            second.add(1)
    assert "nothing was applied" in str(caught.value)


def test_a_body_larger_than_the_budget_is_accepted_if_there_is_no_other() -> None:
    budget = BodyBudget(100)
    with budget.share() as alone:
        alone.add(60)
        alone.add(60)
        assert budget.held == 120


def test_the_bytes_of_a_body_are_released_after_a_failure_too() -> None:
    budget = BodyBudget(100)

    def fail() -> None:
        with budget.share() as share:
            share.add(60)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert budget.held == 0


def test_answers_beyond_the_budget_are_refused_until_others_are_sent() -> None:
    budget = AnswerBudget(100, small_bytes=0)
    first, second = budget.share("a"), budget.share("b")
    assert first.take(60)
    assert second.take(30)
    assert not second.take(20)
    first.release()
    assert second.take(20)


def test_an_answer_larger_than_the_budget_is_accepted_if_there_is_no_other() -> None:
    budget = AnswerBudget(100, small_bytes=0)
    assert budget.share("a").take(101)
    with pytest.raises(OverloadedError) as caught:
        budget.share("a")
    assert "nothing was applied" in str(caught.value)


def test_a_user_whose_answers_take_all_memory_may_still_read_a_few_small_keys() -> None:
    budget = AnswerBudget(100_000)
    assert budget.share("a").take(200_000)
    few = budget.share("a", FEW_KEYS)
    assert few.take(SMALL_BYTES)
    assert not few.take(1)
    with pytest.raises(OverloadedError):
        budget.share("a", FEW_KEYS + 1)


def test_the_answers_of_one_user_leave_room_for_answers_of_others() -> None:
    budget = AnswerBudget(100, small_bytes=0)
    # The user has one read that holds a byte, and one that takes as much as it may.
    first, second = budget.share("greedy"), budget.share("greedy")
    assert first.take(1)
    while second.take(1):
        pass
    assert budget.held == 76
    with pytest.raises(OverloadedError):
        budget.share("greedy")
    assert budget.share("modest").take(5)


def test_answers_for_a_read_that_has_ended_hold_no_memory() -> None:
    budget = AnswerBudget(100, small_bytes=0)
    share = budget.share("a")
    assert share.take(5)
    share.release()
    assert not share.take(5)
    assert budget.held == 0
    assert not budget._by_user


def test_a_single_read_gets_all_the_memory_that_it_needs() -> None:
    budget = AnswerBudget(100, small_bytes=0)
    alone = budget.share("a")
    assert all(alone.take(60) for _ in range(5))
    alone.grow(1000)
    other = AnswerShare(budget, "b")
    assert not other.take(1)
    with pytest.raises(OverloadedError):
        other.grow(1)
    alone.release()
    assert other.take(1)
    assert budget.held == 1


def test_a_small_answer_has_room_beside_one_that_takes_more_than_all() -> None:
    budget = AnswerBudget(100, small_bytes=10)
    assert budget.share("a").take(1000)
    small, large = budget.share("b"), budget.share("c")
    assert small.take(6)
    small.grow(4)
    with pytest.raises(OverloadedError):
        small.grow(1)
    assert not large.take(11)
