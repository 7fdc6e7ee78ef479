"""The long run at full load, shortened; skipped if wrk is not installed (make bench installs it)."""

import shutil
from pathlib import Path

import msgspec
import pytest

from loadtest.bench.plan import OPERATIONS
from loadtest.bench.soak import LEAST_SLICES, Slice, halves, main, table
from loadtest.bench.systems import TIERS

MIB = 1024 * 1024


def slices(memory: list[int]) -> list[Slice]:
    return [
        Slice(
            at_s=10.0 * (number + 1),
            operation=OPERATIONS[number % 2],
            requests_per_s=1000.0,
            errors=0,
            pss=dict.fromkeys(TIERS, size * MIB),
            cpu_us=dict.fromkeys(TIERS, 10.0),
        )
        for number, size in enumerate(memory)
    ]


def test_growth_after_the_settling_time_shows_as_a_ratio() -> None:
    assert "| api: memory, MiB | 100.0 | 150.0 | 1.50 |" in table(slices([50] * 12 + [100] * 30 + [150] * 30))


def test_memory_taken_while_a_system_settles_does_not_count_as_growth() -> None:
    assert "| api: memory, MiB | 100.0 | 100.0 | 1.00 |" in table(slices([10] * 11 + [100] * 60))


def test_a_short_run_settles_for_a_third_of_its_time() -> None:
    first, last = halves(slices([1] * 9))
    assert [each.at_s for each in first] == [30.0, 40.0, 50.0]
    assert [each.at_s for each in last] == [70.0, 80.0, 90.0]


@pytest.mark.timeout(120)
@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
@pytest.mark.long
def test_a_run_samples_every_tier_and_finds_no_error(tmp_path: Path) -> None:
    short = ["--minutes", "0", "--slice", "0.2", "--keys", "500", "--batch", "10", "--connections", "4"]
    assert main([*short, "--out", str(tmp_path)]) == 0
    found = msgspec.json.decode((tmp_path / "soak.json").read_bytes(), type=list[Slice])
    assert len(found) == LEAST_SLICES
    assert all(each.requests_per_s and set(each.pss) == set(TIERS) for each in found)
