"""`make fuzz`: rounds of the tests of bad input with random examples until the time is over, or one of them fails.

A round starts while there is time, and runs to its end. The exit code is that of the first round that fails; how to
repeat it is printed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

EXAMPLES = 400
"""For every 100 of the short run, in each round: about two minutes, so that the servers' start matters little."""

NOT_RANDOM = "tests/fuzz/test_json_corners.py"
"""Print the same text every time."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run_round(seed: int, processes: int, count_file: Path) -> int:
    """One round; its exit code."""
    settings = {
        "TARANTKV_FUZZ_EXAMPLES": str(EXAMPLES),
        "TARANTKV_FUZZ_SEED": str(seed),
        "TARANTKV_FUZZ_COUNT": str(count_file),
    }
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", str(processes), "-o", "timeout=7200"]
    return subprocess.run(
        [*pytest, "tests/fuzz", f"--ignore={NOT_RANDOM}"], env={**os.environ, **settings}, check=False
    ).returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, help="of the first round; random if it is missing")
    options = parser.parse_args()
    started = time.monotonic()
    seeds = SystemRandom()
    seed = options.seed
    rounds = 0
    with tempfile.TemporaryDirectory() as directory:
        count_file = Path(directory) / "examples"
        count_file.touch()
        while time.monotonic() - started < options.minutes * 60:
            seed = seed or seeds.randrange(1, 2**32)
            say(f"Round {rounds + 1}, seed {seed}")
            code = run_round(seed, options.processes, count_file)
            rounds += 1
            if code:
                say(
                    "Repeat it with: "
                    f"TARANTKV_FUZZ_SEED={seed} TARANTKV_FUZZ_EXAMPLES={EXAMPLES} "
                    "make test-python ARGS='tests/fuzz -o timeout=7200'"
                )
                return code
            seed = None
        examples = sum(map(int, count_file.read_text().split()))
    minutes = (time.monotonic() - started) / 60
    say(
        f"{rounds} rounds in {minutes:.1f} minutes, {examples:,} examples and those of the OpenAPI document: no finding"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
