"""Histories that break one rule each, and similar ones that break none."""

from tests.faults.history import Action, Ask, Call, Fate, Told, combined
from tests.faults.invariants import (
    COUNTED_ONCE,
    NEVER_HAPPENS,
    NO_VERSION_TWICE,
    NOTHING_FOREIGN,
    NOTHING_LOST,
    NOTHING_REFUSED_AND_DONE,
    breaches,
)
from tests.faults.operations import Op, operations


def change(number: int, called: float, answered: float, fate: Fate = Fate.HAPPENED, *, delete: bool = False) -> Call:
    action = Action.DELETE if delete else Action.WRITE
    return Call(0, action, ("k",), called, number, answered=answered, answers=["200"], fates={"k": fate})


def final_read(value: str | int | None) -> Call:
    return Call(0, Action.READ, ("k",), 100, 100, answered=101, answers=["200"], seen={"k": value})


def rules(*calls: Call) -> set[str]:
    return {breach.rule for breach in breaches(calls)}


def test_a_value_that_stays_is_no_breach() -> None:
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


def test_a_value_that_was_not_applied_but_exists_is_a_breach() -> None:
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


def test_changes_that_never_happened_are_left_out() -> None:
    assert operations([change(1, 0, 1, Fate.NEVER)]) == {}


def test_the_count_of_a_batch_does_not_show_which_keys_existed() -> None:
    batch = Call(0, Action.DELETE, ("a", "b"), 0, 1, answered=1, answers=["200"], deleted=1)
    batch.fates = {"a": Fate.HAPPENED, "b": Fate.HAPPENED}
    assert [op.found for ops in operations([batch]).values() for op in ops] == [None, None]


def test_the_count_of_one_key_shows_whether_it_existed() -> None:
    single = change(1, 0, 1, delete=True)
    single.deleted = 1
    assert [op.found for op in operations([single])["k"]] == [True]


def increment(number: int, delta: int, fate: Fate = Fate.HAPPENED, ask: Ask | None = None) -> Call:
    asks = {"k": ask or Ask(delta=delta)}
    return Call(0, Action.INCREMENT, ("k",), number, number, answered=number + 1, fates={"k": fate}, asks=asks)


def versioned(number: int, called: float, version: str) -> Call:
    write = change(number, called, called + 1)
    write.told = {"k": Told(version)}
    return write


def read_with(value: str, called: float, version: str) -> Call:
    return Call(0, Action.READ, ("k",), called, answered=called + 1, seen={"k": value}, told={"k": Told(version)})


def test_a_key_that_may_have_expired_is_not_lost() -> None:
    write = change(1, 0, 1)
    write.asks = {"k": Ask(ttl_s=5)}
    assert rules(write, final_read(None)) == set()


def test_a_refused_write_whose_value_exists_is_a_breach() -> None:
    assert rules(change(1, 0, 1, Fate.REFUSED), final_read("k=1")) == {NEVER_HAPPENS}


def test_a_counter_is_the_sum_of_acknowledged_and_some_unknown_increments() -> None:
    acknowledged, unknown = increment(1, 3), [increment(2, 10, Fate.UNKNOWN), increment(3, 20, Fate.UNKNOWN)]
    for value in (3, 13, 23, 33):
        assert rules(acknowledged, *unknown, final_read(value)) == set()
    for wrong in (None, 0, 6, 10, 43):
        assert rules(acknowledged, *unknown, final_read(wrong)) == {COUNTED_ONCE}


def test_a_counter_whose_increments_were_all_refused_is_absent() -> None:
    assert rules(increment(1, 3, Fate.NEVER), final_read(None)) == set()
    assert rules(increment(1, 3), increment(2, 5, Fate.REFUSED), final_read(8)) == {COUNTED_ONCE}


def test_counters_with_an_expiry_are_left_to_the_search() -> None:
    assert rules(increment(1, 3, ask=Ask(delta=3, ttl_s=1)), final_read(None)) == set()


def test_a_version_of_two_writes_is_a_breach() -> None:
    assert rules(versioned(1, 0, "v1"), versioned(2, 2, "v2"), final_read("k=2")) == set()
    assert NO_VERSION_TWICE in rules(versioned(1, 0, "v1"), versioned(2, 2, "v1"), final_read("k=2"))


def test_a_version_that_shows_two_values_is_a_breach() -> None:
    writes = [change(1, 0, 1), change(2, 4, 5)]
    assert NO_VERSION_TWICE in rules(*writes, read_with("k=1", 2, "v1"), read_with("k=2", 6, "v1"), final_read("k=2"))


def test_a_version_that_outlasts_a_change_is_a_breach() -> None:
    """The value is the same as before, which is possible for a counter."""
    writes = [change(1, 0, 1), change(2, 4, 5, delete=True)]
    late = Call(0, Action.WRITE, ("k",), 6, 3, answered=7, fates={"k": Fate.REFUSED}, told={"k": Told(current="v1")})
    assert NO_VERSION_TWICE in rules(*writes, read_with("k=1", 2, "v1"), late, final_read(None))
    early = Call(0, Action.WRITE, ("k",), 3, 3, answered=7, fates={"k": Fate.REFUSED}, told={"k": Told(current="v1")})
    assert rules(*writes, read_with("k=1", 2, "v1"), early, final_read(None)) == set()


def test_a_retry_that_is_refused_because_of_its_own_success_is_a_breach() -> None:
    write = change(1, 0, 1)
    write.contradicted = ("k",)
    assert rules(write, final_read("k=1")) == {NOTHING_REFUSED_AND_DONE}


def test_a_refusal_is_final_and_changes_nothing() -> None:
    assert combined([Fate.UNKNOWN, Fate.REFUSED]) is Fate.REFUSED
    assert combined([Fate.NEVER, Fate.REFUSED, Fate.NEVER]) is Fate.REFUSED
