"""The schedule of a chaos run follows from its seed and its length."""

import os
import subprocess
import sys
from itertools import pairwise

from localcluster.dotenv import REPOSITORY
from tests.faults.catalogue import FAULTS
from tests.faults.schedule import HOLD_S, pairs_of, schedule


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule(7, 30) == schedule(7, 30)


def test_another_seed_gives_another_schedule() -> None:
    assert schedule(7, 30) != schedule(8, 30)


def test_a_seed_gives_the_same_schedule_in_every_process() -> None:
    """The schedule may depend neither on a hash that differs between processes nor on the order of a set."""
    program = "from tests.faults.schedule import schedule; print(schedule(7, 30))"
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{schedule(7, 30)}\n"


def test_a_run_fills_its_time_and_its_strikes_do_not_overlap() -> None:
    strikes = schedule(3, 20)
    assert 19 * 60 < strikes[-1].at_s < 20 * 60
    assert all(before.at_s + before.hold_s < after.at_s for before, after in pairwise(strikes))
    assert all(HOLD_S[0] <= strike.hold_s <= HOLD_S[1] for strike in strikes)


def test_faults_at_the_same_time_touch_different_things() -> None:
    for strike in schedule(5, 300):
        touched = [thing for name in strike.faults for thing in FAULTS[name].touches]
        assert touched
        assert len(touched) == len(set(touched))


def test_a_long_run_has_every_fault_alone_and_together_with_others() -> None:
    strikes = schedule(5, 2000)
    alone = {strike.faults[0] for strike in strikes if len(strike.faults) == 1}
    together = {name for strike in strikes if len(strike.faults) > 1 for name in strike.faults}
    assert alone == together == set(FAULTS)


def test_every_pair_of_faults_that_touch_different_things_occurs_once() -> None:
    found = [strike.faults for first in FAULTS for strike in pairs_of(first, 1.0)]
    expected = {
        frozenset((one, other))
        for one in FAULTS
        for other in FAULTS
        if one != other and not FAULTS[one].touches & FAULTS[other].touches
    }
    assert len(found) == len(expected)
    assert {frozenset(pair) for pair in found} == expected
