"""The checker with correct histories, and with histories that are wrong in each way."""

from collections.abc import Iterator, Sequence
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.history import ABSENT, PRESENT, Action, Ask, Told
from tests.faults.linearizability import check
from tests.faults.model import CONDITION_FAILED, State, effects, known_versions
from tests.faults.operations import NEVER_ENDS, Op


def write(value: str, called: float, answered: float) -> Op:
    return Op(Action.WRITE, called, answered, value)


def maybe_write(value: str, called: float, latest: float) -> Op:
    return Op(Action.WRITE, called, latest, value, optional=True)


def read(value: str | None, called: float, answered: float) -> Op:
    return Op(Action.READ, called, answered, value, ends=None)


def delete(called: float, answered: float, *, found: bool | None = None) -> Op:
    return Op(Action.DELETE, called, answered, found=found)


def maybe_delete(called: float, latest: float) -> Op:
    return Op(Action.DELETE, called, latest, optional=True)


def test_an_empty_history_is_linearizable() -> None:
    assert check([]) is None


def test_sequential_operations_are_linearizable() -> None:
    assert (
        check([read(None, 0, 1), write("a", 2, 3), read("a", 4, 5), delete(6, 7, found=True), read(None, 8, 9)]) is None
    )


def test_a_read_during_a_write_may_see_either_value() -> None:
    assert check([write("a", 0, 1), write("b", 2, 9), read("a", 3, 4)]) is None
    assert check([write("a", 0, 1), write("b", 2, 9), read("b", 3, 4)]) is None


def test_writes_at_the_same_time_may_end_in_any_order() -> None:
    for last in ("a", "b", "c"):
        assert check([write("a", 0, 5), write("b", 1, 6), write("c", 2, 7), read(last, 8, 9)]) is None


def test_a_lost_write_is_a_violation() -> None:
    assert check([write("a", 0, 1), read(None, 2, 3)]) is not None


def test_a_lost_overwrite_is_a_violation() -> None:
    assert check([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)]) is not None


def test_a_stale_read_is_a_violation() -> None:
    assert check([write("a", 0, 1), write("b", 2, 9), read("b", 3, 4), read("a", 5, 6)]) is not None


def test_two_readers_that_see_two_writes_in_different_orders_are_a_violation() -> None:
    writes = [write("a", 0, 1), write("b", 0, 1)]
    assert check([*writes, read("a", 2, 3), read("b", 4, 5)]) is not None


def test_a_value_that_comes_back_after_its_delete_is_a_violation() -> None:
    assert check([write("a", 0, 1), delete(2, 3, found=True), read("a", 4, 5)]) is not None


def test_a_value_that_comes_back_after_it_was_overwritten_is_a_violation() -> None:
    history = [write("a", 0, 1), write("b", 2, 3), read("b", 4, 5), read("a", 6, 7)]
    assert check(history) is not None


def test_a_write_applied_twice_is_a_violation() -> None:
    """The first copy applies it, and the second applies it again after another client's delete."""
    history = [write("a", 0, 9), read("a", 1, 2), delete(3, 4, found=True), read("a", 5, 6)]
    assert check(history) is not None


def test_a_delete_applied_twice_is_a_violation() -> None:
    """The second application removes what was written in between."""
    history = [write("a", 0, 1), delete(2, 9, found=True), read(None, 3, 4), write("b", 5, 6), read(None, 7, 8)]
    assert check(history) is not None


def test_a_delete_that_does_not_find_an_existing_key_is_a_violation() -> None:
    assert check([write("a", 0, 1), delete(2, 3, found=False)]) is not None
    assert check([delete(0, 1, found=True)]) is not None


def test_a_read_before_the_write_was_sent_is_a_violation() -> None:
    assert check([read("a", 0, 1), write("a", 2, 3)]) is not None


def test_a_value_that_no_client_wrote_is_a_violation() -> None:
    assert check([write("a", 0, 1), read("x", 0, 5)]) is not None


def test_a_write_of_unknown_outcome_may_have_happened_or_not() -> None:
    for seen in ("a", "b"):
        assert check([write("a", 0, 1), maybe_write("b", 2, 3), read(seen, 10, 11)]) is None


def test_a_write_of_unknown_outcome_may_happen_until_its_latest_time() -> None:
    assert check([write("a", 0, 1), maybe_write("b", 2, 8), read("a", 4, 5), read("b", 9, 10)]) is None


def test_a_write_of_unknown_outcome_that_happens_after_its_latest_time_is_a_violation() -> None:
    assert check([write("a", 0, 1), maybe_write("b", 2, 3), read("a", 4, 5), read("b", 6, 7)]) is not None


def test_a_write_of_unknown_outcome_happens_at_most_once() -> None:
    history = [maybe_write("a", 0, 20), read("a", 1, 2), delete(3, 4, found=True), read("a", 5, 6)]
    assert check(history) is not None


def test_a_delete_of_unknown_outcome_may_have_happened_or_not() -> None:
    for seen in ("a", None):
        assert check([write("a", 0, 1), maybe_delete(2, 3), read(seen, 4, 5)]) is None


def test_a_delete_of_unknown_outcome_does_not_excuse_a_loss_before_it() -> None:
    assert check([write("a", 0, 1), read(None, 2, 3), maybe_delete(4, 5)]) is not None


def test_a_violation_names_the_operation_that_no_order_explains() -> None:
    wrong = read("a", 4, 5)
    violation = check([write("a", 0, 1), write("b", 2, 3), wrong, read("b", 6, 7)])
    assert violation is not None
    assert violation.stuck == wrong


def test_many_operations_at_the_same_time_are_checked_in_reasonable_time() -> None:
    """Without its memory the search would examine 13 factorial orders."""
    writes = [write(str(number), 0, 1) for number in range(13)]
    assert check([*writes, read("none of them", 2, 3)]) is not None


def test_a_long_history_with_many_unknown_writes_is_checked_in_reasonable_time() -> None:
    def history() -> Iterator[Op]:
        for number in range(2000):
            yield write(f"w{number}", number, number + 0.5)
            yield read(f"w{number}", number + 0.6, number + 0.9)
            if number % 100 == 0:
                yield maybe_write(f"u{number}", number + 0.1, number + 5)

    assert check(list(history())) is None


def by_brute_force(ops: Sequence[Op]) -> bool:
    """Whether any order within the times explains the history."""

    def explains(order: Sequence[Op]) -> bool:
        state: str | int | None = None
        for position, op in enumerate(order):
            if any(later.answered < op.called for later in order[position + 1 :]):
                return False
            if op.action is Action.READ and op.value != state:
                return False
            if op.action is Action.DELETE and op.found is not None and op.found != (state is not None):
                return False
            if op.action is Action.WRITE:
                state = op.value
            elif op.action is Action.DELETE:
                state = None
        return True

    optional = [op for op in ops if op.optional]
    certain = [op for op in ops if not op.optional]
    return any(
        explains(order)
        for chosen in range(2 ** len(optional))
        for order in permutations([*certain, *(op for bit, op in enumerate(optional) if chosen >> bit & 1)])
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Op]:
    ops = []
    for number in range(draw(st.integers(1, 5))):
        called = draw(st.integers(0, 12))
        answered = called + draw(st.integers(1, 6))
        action = draw(st.sampled_from([Action.WRITE, Action.READ, Action.DELETE]))
        if action is Action.READ:
            ops.append(read(draw(st.sampled_from([None, "v0", "v1", "v2", "v3"])), called, answered))
        else:
            optional = draw(st.booleans())
            found = draw(st.sampled_from([None, True, False])) if action is Action.DELETE and not optional else None
            value = f"v{number}" if action is Action.WRITE else None
            ops.append(Op(action, called, answered, value, found=found, optional=optional))
    return ops


@settings(max_examples=250, deadline=None)
@given(histories())
def test_the_search_agrees_with_trying_every_order(ops: list[Op]) -> None:
    assert (check(ops) is None) == by_brute_force(ops)


def by_every_order_and_effect(ops: Sequence[Op]) -> bool:
    """The same for all operations: whether any order, with any effect of each operation, explains the history."""
    known = known_versions(ops)

    def explains(order: Sequence[Op], state: State) -> bool:
        if not order:
            return True
        first, *later = order
        if any(op.answered < first.called for op in later):
            return False
        return any(explains(later, after) for after in effects(first, state, known))

    optional = [op for op in ops if op.optional]
    certain = [op for op in ops if not op.optional]
    return any(
        explains(order, None)
        for chosen in range(2 ** len(optional))
        for order in permutations([*certain, *(op for bit, op in enumerate(optional) if chosen >> bit & 1)])
    )


@st.composite
def rich_histories(draw: st.DrawFn) -> list[Op]:
    ops = []
    for number in range(draw(st.integers(1, 5))):
        called = draw(st.integers(0, 12))
        answered = called + draw(st.integers(1, 6))
        action = draw(st.sampled_from(list(Action)))
        ends = draw(st.sampled_from([NEVER_ENDS, None, (called + 2.0, called + 4.0), (called + 5.0, called + 9.0)]))
        seen = draw(st.sampled_from([None, "V0", "V1", "V2", "V3"]))
        if action is Action.READ:
            value = draw(st.sampled_from([None, "v0", "v1", "v2", "v3", 1, 2]))
            ops.append(Op(action, called, answered, value, told=Told(seen if value else None), ends=ends))
            continue
        optional = draw(st.booleans())
        condition = draw(st.sampled_from([None, None, ABSENT, PRESENT, "V0", "V1"]))
        ask = Ask(condition if action in {Action.WRITE, Action.DELETE} else None, delta=1)
        told = Told()
        if not optional and ask.condition and draw(st.booleans()):
            told = Told(current=draw(st.sampled_from([None, ABSENT, "V0", "V1"])), refusal=CONDITION_FAILED)
        elif not optional and action is Action.WRITE:
            told = Told(draw(st.sampled_from([None, f"V{number}"])))
        value = f"v{number}" if action is Action.WRITE else None
        found = draw(st.sampled_from([None, True, False])) if action is Action.TOUCH and not optional else None
        ops.append(Op(action, called, answered, value, found, optional=optional, ask=ask, told=told, ends=ends))
    return ops


@settings(max_examples=250, deadline=None)
@given(rich_histories())
def test_the_search_agrees_with_trying_every_order_and_every_effect(ops: list[Op]) -> None:
    assert (check(ops) is None) == by_every_order_and_effect(ops)
