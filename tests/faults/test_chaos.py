"""`make chaos`, as short as possible."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.dotenv import REPOSITORY


def chaos(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.chaos", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_seed_and_schedule_are_printed_so_that_a_run_can_be_repeated() -> None:
    done = chaos("--minutes", "1", "--schedule")
    seed = re.match(r"seed (\d+): \d+ strikes in 1 minutes\nagain: make chaos MINUTES=1 SEED=\1\n", done.stdout)
    assert seed
    assert chaos("--minutes", "1", "--schedule", "--seed", seed[1]).stdout == done.stdout


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_short_run_of_chaos_ends_without_a_violation(tmp_path: Path) -> None:
    done = chaos("--minutes", "0.2", "--seed", "1", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no violation" in done.stdout
    assert not (tmp_path / "out").exists()
