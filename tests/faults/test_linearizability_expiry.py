"""The checker with histories of keys that expire: correct ones, and wrong in each way."""

import pytest

from tests.faults.history import NEVER, Action, Ask, Call, Fate, Told
from tests.faults.linearizability import check
from tests.faults.operations import NEVER_ENDS, ROUNDING_S, Op, Window, operations

ENDS: Window = (10, 12)


def write(value: str, called: float, answered: float, ends: Window | None = NEVER_ENDS, ask: Ask | None = None) -> Op:
    return Op(Action.WRITE, called, answered, value, ends=ends, ask=ask or Ask())


def maybe_write(value: str, called: float, latest: float, ends: Window) -> Op:
    return Op(Action.WRITE, called, latest, value, ends=ends, optional=True)


def read(value: str | None, called: float, answered: float, ends: Window | None = None) -> Op:
    return Op(Action.READ, called, answered, value, ends=ends)


def touch(called: float, answered: float, ends: Window, *, found: bool | None = True) -> Op:
    return Op(Action.TOUCH, called, answered, found=found, ends=ends)


def delete(called: float, answered: float, *, found: bool) -> Op:
    return Op(Action.DELETE, called, answered, found=found)


def test_a_key_exists_until_it_expires_and_not_after() -> None:
    assert check([write("a", 0, 1, ENDS), read("a", 8, 9), read(None, 13, 14)]) is None


def test_a_key_that_is_seen_after_its_expiry_is_a_violation() -> None:
    assert check([write("a", 0, 1, ENDS), read("a", 12.5, 13)]) is not None
    assert check([write("a", 0, 1, ENDS), delete(12.5, 13, found=True)]) is not None


def test_a_key_that_is_absent_before_its_expiry_is_a_violation() -> None:
    assert check([write("a", 0, 1, ENDS), read(None, 8, 9)]) is not None
    assert check([write("a", 0, 1), read(None, 100, 101)]) is not None


def test_within_the_window_of_its_expiry_a_key_may_exist_or_not() -> None:
    for seen in ("a", None):
        assert check([write("a", 0, 1, ENDS), read(seen, 10.5, 11)]) is None


def test_an_expired_key_that_comes_back_is_a_violation() -> None:
    assert check([write("a", 0, 1, ENDS), read("a", 10.1, 10.2), read(None, 10.5, 11)]) is None
    assert check([write("a", 0, 1, ENDS), read(None, 10.5, 10.8), read("a", 11, 11.5)]) is not None
    assert check([write("a", 0, 1, ENDS), delete(10.5, 10.8, found=False), read("a", 11, 11.5)]) is not None


def test_a_write_replaces_the_expiry() -> None:
    assert check([write("a", 0, 1, ENDS), write("b", 2, 3), read("b", 20, 21)]) is None
    assert check([write("a", 0, 1, ENDS), write("b", 2, 3), read(None, 20, 21)]) is not None
    assert check([write("a", 0, 1, ENDS), write("b", 2, 3, (20, 21)), read("b", 15, 16), read(None, 22, 23)]) is None


def test_a_write_that_keeps_the_expiry_keeps_it() -> None:
    kept = write("b", 2, 3, None)
    assert check([write("a", 0, 1, ENDS), kept, read("b", 8, 9), read(None, 13, 14)]) is None
    assert check([write("a", 0, 1, ENDS), kept, read("b", 13, 14)]) is not None


def test_a_write_that_keeps_the_expiry_of_an_absent_key_never_expires() -> None:
    assert check([write("b", 2, 3, None), read("b", 1e6, 1e6 + 1)]) is None
    assert check([write("a", 0, 1, ENDS), write("b", 13, 14, None), read("b", 100, 101)]) is None


def test_a_condition_finds_an_expired_key_absent() -> None:
    before = write("a", 0, 1, ENDS)
    assert check([before, write("b", 13, 14, ask=Ask("absent"))]) is None
    assert check([before, write("b", 5, 6, ask=Ask("absent"))]) is not None
    assert check([before, write("b", 13, 14, ask=Ask("present"))]) is not None


def test_a_touch_moves_the_expiry_of_an_existing_key() -> None:
    touched = touch(5, 6, (20, 21))
    assert check([write("a", 0, 1, ENDS), touched, read("a", 15, 16), read(None, 22, 23)]) is None
    assert check([write("a", 0, 1, ENDS), touched, read(None, 15, 16)]) is not None
    assert check([write("a", 0, 1, ENDS), touch(5, 6, NEVER_ENDS), read("a", 99, 100)]) is None


def test_a_touch_finds_existing_keys_only() -> None:
    assert check([touch(0, 1, NEVER_ENDS, found=False)]) is None
    assert check([touch(0, 1, NEVER_ENDS, found=True)]) is not None
    assert check([write("a", 0, 1, ENDS), touch(13, 14, NEVER_ENDS, found=True)]) is not None
    assert check([write("a", 0, 1, ENDS), touch(5, 6, NEVER_ENDS, found=False)]) is not None


def test_a_touch_does_not_change_the_version() -> None:
    written = Op(Action.WRITE, 0, 1, "a", told=Told("v1"))
    seen = Op(Action.READ, 4, 5, "a", told=Told("v2"), ends=None)
    assert check([written, touch(2, 3, ENDS), seen]) is not None


def test_an_expiry_that_a_read_shows_must_be_the_requested_one() -> None:
    assert check([write("a", 0, 1, ENDS), read("a", 2, 3, (11, 11))]) is None
    assert check([write("a", 0, 1, ENDS), read("a", 2, 3, (13, 13))]) is not None
    assert check([write("a", 0, 1, ENDS), read("a", 2, 3, NEVER_ENDS)]) is not None
    assert check([write("a", 0, 1), read("a", 2, 3, (11, 11))]) is not None


def test_a_key_must_expire_when_a_read_has_shown() -> None:
    shown = [write("a", 0, 1, ENDS), read("a", 2, 3, (11, 11))]
    assert check([*shown, read("a", 10.5, 10.9), read(None, 11.1, 11.2)]) is None
    assert check([*shown, read("a", 11.1, 11.2)]) is not None
    assert check([*shown, read(None, 10.5, 10.9)]) is not None


def test_a_write_of_unknown_outcome_may_have_expired_already() -> None:
    for seen in ("a", None):
        assert check([maybe_write("a", 0, 5, ENDS), read(seen, 10.5, 11)]) is None
    assert check([maybe_write("a", 0, 5, ENDS), read("a", 13, 14)]) is not None


def call(ask: Ask, **more: float) -> Call:
    return Call(0, Action.WRITE, ("k",), 100.0, 1, answered=101.0, fates={"k": Fate.HAPPENED}, asks={"k": ask}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "window"),
    [
        (call(Ask(ttl_s=5)), (105 - ROUNDING_S, 106 + ROUNDING_S)),
        (call(Ask(ttl_s=5), step_s=30.0), (75 - ROUNDING_S, 136 + ROUNDING_S)),
        (call(Ask(ends=107.0)), (107 - ROUNDING_S, 107 + ROUNDING_S)),
        (call(Ask(ends=107.0), off_s=2.0), (105 - ROUNDING_S, 109 + ROUNDING_S)),
        (call(Ask(keep=True)), None),
        (call(Ask()), (NEVER, NEVER)),
    ],
)
def test_the_window_of_an_expiry_follows_from_the_call_and_the_clocks(made: Call, window: Window | None) -> None:
    (op,) = operations([made])["k"]
    assert op.ends == (window if window is None else pytest.approx(window))
