"""The checker with histories of counters: correct ones, and wrong in each way."""

from tests.faults.history import Action, Ask, Told
from tests.faults.linearizability import check
from tests.faults.model import CONDITION_FAILED, HIGHEST, NOT_A_NUMBER, OUT_OF_RANGE
from tests.faults.operations import NEVER_ENDS, Op, Window


def add(
    delta: int,
    called: float,
    answered: float,
    number: int | None = None,
    ask: Ask | None = None,
    ends: Window = NEVER_ENDS,
) -> Op:
    return Op(Action.INCREMENT, called, answered, ask=ask or Ask(delta=delta), told=Told(number=number), ends=ends)


def maybe_add(delta: int, called: float, latest: float) -> Op:
    return Op(Action.INCREMENT, called, latest, optional=True, ask=Ask(delta=delta))


def refused(ask: Ask, refusal: str, called: float, answered: float) -> Op:
    return Op(Action.INCREMENT, called, answered, ask=ask, told=Told(refusal=refusal))


def write(value: str | int, called: float, answered: float) -> Op:
    return Op(Action.WRITE, called, answered, value)


def read(value: str | int | None, called: float, answered: float) -> Op:
    return Op(Action.READ, called, answered, value, ends=None)


def test_increments_that_add_up_are_linearizable_in_any_order() -> None:
    assert check([add(1, 0, 5, 3), add(2, 1, 6, 2), read(3, 7, 8), add(-4, 9, 10, -1)]) is None


def test_an_increment_counted_twice_is_a_violation() -> None:
    assert check([add(1, 0, 1, 1), read(2, 2, 3)]) is not None
    assert check([add(1, 0, 1, 2)]) is not None


def test_a_lost_increment_is_a_violation() -> None:
    assert check([add(1, 0, 1, 1), add(1, 2, 3, 1)]) is not None
    assert check([add(1, 0, 1, 1), add(1, 2, 3), read(1, 4, 5)]) is not None


def test_an_increment_of_unknown_outcome_counts_at_most_once_and_not_after_its_time() -> None:
    for seen in (1, 6):
        assert check([add(1, 0, 1, 1), maybe_add(5, 2, 3), read(seen, 4, 5)]) is None
    assert check([add(1, 0, 1, 1), maybe_add(5, 2, 3), read(11, 4, 5)]) is not None
    assert check([add(1, 0, 1, 1), maybe_add(5, 2, 3), read(1, 4, 5), read(6, 6, 7)]) is not None


def test_an_absent_counter_begins_at_its_initial_value() -> None:
    ask = Ask(delta=-3, initial=10)
    assert check([add(-3, 0, 1, 7, ask), add(-3, 2, 3, 4, ask)]) is None
    assert check([add(-3, 0, 1, -3, ask)]) is not None
    assert check([add(-3, 0, 1, 7, ask), add(-3, 2, 3, 7, ask)]) is not None


def test_a_bound_refuses_only_results_beyond_it() -> None:
    ask = Ask(delta=2, low=0, high=3)
    assert check([add(2, 0, 1, 2, ask), refused(ask, CONDITION_FAILED, 2, 3), read(2, 4, 5)]) is None
    assert check([add(2, 0, 1, 2, ask), add(2, 2, 3, 4, ask)]) is not None
    assert check([refused(ask, CONDITION_FAILED, 0, 1)]) is not None
    assert check([add(2, 0, 1, 2, ask), refused(ask, CONDITION_FAILED, 2, 3), read(4, 4, 5)]) is not None


def test_an_increment_of_a_value_that_is_no_number_is_refused_for_that() -> None:
    ask = Ask(delta=1)
    assert check([write("text", 0, 1), refused(ask, NOT_A_NUMBER, 2, 3), read("text", 4, 5)]) is None
    assert check([write("text", 0, 1), add(1, 2, 3, 1)]) is not None
    assert check([add(1, 0, 1, 1), refused(ask, NOT_A_NUMBER, 2, 3)]) is not None


def test_a_sum_beyond_64_bits_is_refused_for_that() -> None:
    ask = Ask(delta=1)
    assert check([write(HIGHEST, 0, 1), refused(ask, OUT_OF_RANGE, 2, 3), read(HIGHEST, 4, 5)]) is None
    assert check([write(HIGHEST, 0, 1), add(1, 2, 3)]) is not None


def test_an_expiry_applies_if_the_increment_creates_the_counter() -> None:
    first = add(1, 0, 1, 1, ends=(10, 11))
    second = add(1, 5, 6, 2, ends=(15, 16))
    assert check([first, second, add(1, 12, 13, 1)]) is None
    assert check([first, second, add(1, 12, 13, 3)]) is not None


def test_an_expiry_with_always_is_set_by_each_increment() -> None:
    always = Ask(delta=1, always=True)
    first, second = add(1, 0, 1, 1, always, (10, 11)), add(1, 5, 6, 2, always, (15, 16))
    assert check([first, second, add(1, 12, 13, 3)]) is None
    assert check([first, second, add(1, 12, 13, 1)]) is not None
    assert check([first, second, add(1, 17, 18, 3)]) is not None
