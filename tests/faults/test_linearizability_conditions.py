"""The checker with histories of conditional changes and versions: correct ones, and wrong in each way."""

from tests.faults.history import ABSENT, PRESENT, Action, Ask, Told
from tests.faults.linearizability import check
from tests.faults.model import CONDITION_FAILED
from tests.faults.operations import Op


def write(value: str, called: float, answered: float, condition: str | None = None, version: str | None = None) -> Op:
    return Op(Action.WRITE, called, answered, value, ask=Ask(condition), told=Told(version))


def refused(condition: str, called: float, answered: float, current: str | None = None) -> Op:
    told = Told(current=current, refusal=CONDITION_FAILED)
    return Op(Action.WRITE, called, answered, "refused", ask=Ask(condition), told=told)


def maybe_write(value: str, called: float, latest: float, condition: str | None = None) -> Op:
    return Op(Action.WRITE, called, latest, value, optional=True, ask=Ask(condition))


def read(value: str | None, called: float, answered: float, version: str | None = None) -> Op:
    return Op(Action.READ, called, answered, value, told=Told(version), ends=None)


def delete(called: float, answered: float, condition: str | None = None, *, found: bool | None = None) -> Op:
    return Op(Action.DELETE, called, answered, found=found, ask=Ask(condition))


def delete_refused(condition: str, called: float, answered: float, current: str | None = None) -> Op:
    told = Told(current=current, refusal=CONDITION_FAILED)
    return Op(Action.DELETE, called, answered, ask=Ask(condition), told=told)


def test_conditions_that_hold_or_fail_correctly_are_linearizable() -> None:
    history = [
        refused(PRESENT, 0, 1, ABSENT),
        write("a", 2, 3, ABSENT, "v1"),
        refused(ABSENT, 4, 5, "v1"),
        write("b", 6, 7, PRESENT, "v2"),
        refused("v1", 8, 9, "v2"),
        write("c", 10, 11, "v2", "v3"),
        delete_refused("v2", 12, 13, "v3"),
        delete(14, 15, "v3", found=True),
        refused("v3", 16, 17, ABSENT),
        delete(18, 19, ABSENT, found=False),
        delete_refused(PRESENT, 20, 21, ABSENT),
        read(None, 22, 23),
    ]
    assert check(history) is None


def test_a_lost_update_is_a_violation() -> None:
    """Two clients read the same version, and both write successfully under the condition of that version."""
    first, second = write("b", 4, 6, "v1", "v2"), write("c", 5, 7, "v1", "v3")
    assert check([write("a", 0, 1, version="v1"), read("a", 2, 3, "v1"), first]) is None
    assert check([write("a", 0, 1, version="v1"), read("a", 2, 3, "v1"), first, second]) is not None


def test_a_conditional_write_over_an_unseen_version_is_a_lost_update() -> None:
    history = [write("a", 0, 1, version="v1"), write("b", 2, 3), write("c", 4, 5, "v1")]
    assert check(history) is not None


def test_two_writes_that_both_found_the_key_absent_are_a_violation() -> None:
    assert check([write("a", 0, 5, ABSENT), write("b", 1, 6, ABSENT)]) is not None
    assert check([write("a", 0, 5, ABSENT), refused(ABSENT, 1, 6)]) is None


def test_a_condition_that_failed_though_it_held_is_a_violation() -> None:
    assert check([refused(ABSENT, 0, 1)]) is not None
    assert check([write("a", 0, 1, version="v1"), refused(PRESENT, 2, 3)]) is not None
    assert check([write("a", 0, 1, version="v1"), refused("v1", 2, 3)]) is not None
    assert check([write("a", 0, 1, version="v1"), delete_refused("v1", 2, 3)]) is not None


def test_a_condition_that_failed_because_of_the_clients_own_success_is_a_violation() -> None:
    """The first attempt was applied, its answer was lost, and the retry is told that the key exists."""
    retried = refused(ABSENT, 0, 9, "v1")
    assert check([retried, read("refused", 10, 11, "v1")]) is not None


def test_a_refused_write_that_is_seen_is_a_violation() -> None:
    assert check([write("a", 0, 1), refused(ABSENT, 2, 3), read("refused", 4, 5)]) is not None


def test_a_failed_condition_with_a_version_that_the_key_did_not_have_is_a_violation() -> None:
    writes = [write("a", 0, 1, version="v1"), write("b", 2, 3, version="v2")]
    assert check([*writes, refused(ABSENT, 4, 5, "v2")]) is None
    assert check([*writes, refused(ABSENT, 4, 5, "v1")]) is not None
    assert check([*writes, refused("v1", 4, 5, ABSENT)]) is not None


def test_a_read_that_shows_a_value_with_the_version_of_another_is_a_violation() -> None:
    writes = [write("a", 0, 1, version="v1"), write("b", 2, 3, version="v2")]
    assert check([*writes, read("b", 4, 5, "v2")]) is None
    assert check([*writes, read("b", 4, 5, "v1")]) is not None


def test_a_version_does_not_change_without_a_change() -> None:
    assert check([write("a", 0, 1), read("a", 2, 3, "v1"), read("a", 4, 5, "v1")]) is None
    assert check([write("a", 0, 1), read("a", 2, 3, "v1"), read("a", 4, 5, "v2")]) is not None


def test_a_version_that_holds_again_after_a_delete_is_a_violation() -> None:
    """This happens if a counter of versions begins again with each new key."""
    history = [write("a", 0, 1, version="v1"), delete(2, 3), write("b", 4, 5), write("c", 6, 7, "v1")]
    assert check(history) is not None


def test_a_conditional_write_of_unknown_outcome_happens_only_if_its_condition_holds() -> None:
    before = [write("a", 0, 1, version="v1"), write("b", 2, 3, version="v2")]
    assert check([*before, maybe_write("c", 4, 5, "v2"), read("c", 6, 7)]) is None
    assert check([*before, maybe_write("c", 4, 5, "v2"), read("b", 6, 7)]) is None
    assert check([*before, maybe_write("c", 4, 5, "v1"), read("c", 6, 7)]) is not None


def test_a_conditional_delete_removes_only_a_key_with_its_version() -> None:
    before = [write("a", 0, 1, version="v1"), write("b", 2, 9, version="v2")]
    assert check([*before, delete(4, 5, "v1", found=True), read("b", 10, 11)]) is None
    assert check([*before, read("b", 3, 4), delete(5, 6, "v1", found=True)]) is not None
