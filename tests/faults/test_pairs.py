"""Every fault of the catalogue with every other that touches something else, at the same time: hours."""

from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.chaos import ChaosError, run_on
from tests.faults.networked import Networked
from tests.faults.schedule import pairs_of

HOLD_S = 2.5
"""Longer than a worker's claim lasts, and shorter than a request: what is late or doubled can still be applied."""

FIRSTS = [name for name in sorted(FAULTS) if pairs_of(name, HOLD_S)]


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", FIRSTS)
def test_two_faults_at_once_break_no_promise(networked: Networked, tmp_path: Path, first: str) -> None:
    networked.network.heal()
    networked.cluster.start()
    strikes = pairs_of(first, HOLD_S)
    try:
        # The seed names the keys: each test has its own.
        totals = run_on(networked, tmp_path, FIRSTS.index(first) + 1, strikes, tmp_path / "histories")
    except ChaosError as error:
        pytest.fail(str(error))
    assert totals.strikes == len(strikes)
