"""Histories that break one rule each, and some that look like it but do not."""

from tests.faults.history import Action, Call, Fate, Op, combined, operations
from tests.faults.invariants import NEVER_HAPPENS, NOTHING_FOREIGN, NOTHING_LOST, breaches


def change(number: int, called: float, answered: float, fate: Fate = Fate.HAPPENED, *, delete: bool = False) -> Call:
    action = Action.DELETE if delete else Action.WRITE
    return Call(0, action, ("k",), called, number, answered=answered, answers=["200"], fates={"k": fate})


def final_read(value: str | None) -> Call:
    return Call(0, Action.READ, ("k",), 100, 100, answered=101, answers=["200"], seen={"k": value})


def rules(*calls: Call) -> set[str]:
    return {breach.rule for breach in breaches(calls)}


def test_a_value_that_stays_breaks_nothing() -> None:
    assert rules(change(1, 0, 1), final_read("k=1")) == set()


def test_a_lost_value_is_a_breach() -> None:
    assert rules(change(1, 0, 1), final_read(None)) == {NOTHING_LOST}


def test_a_value_replaced_by_a_later_write_is_not_lost() -> None:
    assert rules(change(1, 0, 1), change(2, 2, 3), final_read("k=2")) == set()


def test_a_value_replaced_by_an_earlier_write_is_lost() -> None:
    assert rules(change(1, 0, 1), change(2, 2, 3), final_read("k=1")) == {NOTHING_LOST}


def test_a_value_deleted_later_is_not_lost() -> None:
    assert rules(change(1, 0, 1), change(2, 2, 3, delete=True), final_read(None)) == set()


def test_a_value_deleted_earlier_is_lost() -> None:
    assert rules(change(1, 0, 1, delete=True), change(2, 2, 3), final_read(None)) == {NOTHING_LOST}


def test_a_value_may_be_replaced_by_a_write_of_unknown_outcome() -> None:
    late = change(1, 0, 1, Fate.UNKNOWN)
    late.latest = 5
    assert rules(late, change(2, 2, 3), final_read("k=1")) == set()


def test_a_value_that_was_not_applied_is_a_breach_when_it_is_there() -> None:
    assert rules(change(1, 0, 1, Fate.NEVER), final_read("k=1")) == {NEVER_HAPPENS}


def test_a_value_of_another_key_is_a_breach() -> None:
    assert NOTHING_FOREIGN in rules(change(1, 0, 1), final_read("other=1"))


def test_several_attempts_happened_if_one_did() -> None:
    assert combined([Fate.UNKNOWN, Fate.NEVER, Fate.HAPPENED]) is Fate.HAPPENED


def test_several_attempts_never_happened_only_if_none_may_have() -> None:
    assert combined([Fate.NEVER, Fate.UNKNOWN]) is Fate.UNKNOWN
    assert combined([Fate.NEVER, Fate.NEVER]) is Fate.NEVER


def test_an_unknown_change_stays_open_until_its_latest_time() -> None:
    call = change(1, 0, 1, Fate.UNKNOWN)
    call.latest = 7
    assert operations([call]) == {"k": [Op(Action.WRITE, 0, 7, "k=1", optional=True)]}


def test_what_never_happened_is_no_operation() -> None:
    assert operations([change(1, 0, 1, Fate.NEVER)]) == {}


def test_the_count_of_a_batch_does_not_tell_which_keys_were_there() -> None:
    batch = Call(0, Action.DELETE, ("a", "b"), 0, 1, answered=1, answers=["200"], deleted=1)
    batch.fates = {"a": Fate.HAPPENED, "b": Fate.HAPPENED}
    assert [op.found for ops in operations([batch]).values() for op in ops] == [None, None]


def test_the_count_of_one_key_tells_whether_it_was_there() -> None:
    single = change(1, 0, 1, delete=True)
    single.deleted = 1
    assert [op.found for op in operations([single])["k"]] == [True]
