"""Waits between attempts: they double up to a limit, with jitter, and start from the first again after a success."""

import itertools

import pytest

from protocol.backoff import Backoff

FIRST_S, LAST_S = 0.02, 0.5


@pytest.mark.parametrize("tries", [2_000, 100_000])
def test_after_any_number_of_attempts_no_wait_exceeds_the_limit(tries: int) -> None:
    backoff = Backoff(FIRST_S, LAST_S)
    waits = [backoff.next_s() for _ in range(tries)]
    assert max(waits) <= LAST_S
    assert min(waits[10:]) >= LAST_S / 2


def test_waits_double_up_to_the_last_one() -> None:
    backoff = Backoff(FIRST_S, LAST_S)
    for wait, longest in zip(
        [backoff.next_s() for _ in range(7)], [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5], strict=True
    ):
        assert longest / 2 <= wait <= longest


def test_processes_that_fail_together_do_not_retry_together() -> None:
    first, second = Backoff(FIRST_S, LAST_S), Backoff(FIRST_S, LAST_S)
    assert [first.next_s() for _ in range(5)] != [second.next_s() for _ in range(5)]


def test_a_success_starts_from_the_first_wait_again() -> None:
    backoff = Backoff(FIRST_S, LAST_S)
    for _ in itertools.repeat(None, 50):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= FIRST_S


@pytest.mark.parametrize(("first_s", "last_s"), [(0, 1), (-1, 1), (2, 1), (float("nan"), 1)])
def test_a_back_off_that_would_not_wait_is_refused(first_s: float, last_s: float) -> None:
    with pytest.raises(ValueError, match="a back-off from"):
        Backoff(first_s, last_s)
