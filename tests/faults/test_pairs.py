"""Every fault of the catalogue together with every other that touches something else: `make pairs`, an hour.

Several clusters run at once, each with the pairs of one fault. The system's times are shorter than usual, so that a
pair takes seconds.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.chaos import ChaosError, Pace, run_on, say
from tests.faults.networked import Networked, networked_cluster
from tests.faults.schedule import pairs_of

REQUEST_TIMEOUT_S = 2.5
HASTY = {
    "TARANTKV_REQUEST_TIMEOUT_S": str(REQUEST_TIMEOUT_S),
    "TARANTKV_CALL_TIMEOUT_S": "0.5",
    "TARANTKV_CLAIM_IDLE_S": "0.7",
}
HOLD_S = 1.3
"""Longer than a frame claim lasts, and shorter than a request: late or doubled chunks can still be applied."""

PACE = Pace(before=25, after=50, pause_s=0.04, deadline_s=REQUEST_TIMEOUT_S)
FIRSTS = [name for name in sorted(FAULTS) if pairs_of(name, HOLD_S)]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Networked]:
    with networked_cluster(tmp_path_factory.mktemp("hasty"), HASTY) as networked:
        yield networked


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", FIRSTS)
def test_two_faults_at_once_break_no_promise(hasty: Networked, tmp_path: Path, first: str) -> None:
    left = pairs_of(first, HOLD_S)
    failures: list[str] = []
    while left:
        hasty.network.heal()
        hasty.cluster.start()
        # The seed is part of the keys, so each run has its own.
        seed = FIRSTS.index(first) + 1 + len(failures) * len(FIRSTS)
        try:
            run_on(hasty, tmp_path, seed, left, tmp_path / "histories", PACE)
            break
        except ChaosError as error:
            failures.append(str(error))
            say(f"FAILED: {error}")
            left = left[error.over :]
    assert not failures, "\n".join(failures)
