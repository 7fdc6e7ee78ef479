"""Writes the results of runs with faults into docs/reliability.md, between its marks.

`python -m tests.faults.report run` makes the runs: every test of a fault in its long form, then chaos.
`python -m tests.faults.report write FILE` reads the file that `$FAULT_REPORT` named in earlier runs; of each test the
last run counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from localcluster.dotenv import REPOSITORY
from tests.faults.limits import STRICT
from tests.faults.scenario import REPORT

PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- {} begin -->", "<!-- {} end -->"

GROUPS = {
    "test_workers": "Workers",
    "test_api": "The api",
    "test_shards": "Shards",
    "test_redis": "Redis dies or loses its data",
    "test_redis_conditions": "Redis refuses commands, pauses or changes its role",
    "test_lanes": "One of two Redis lanes",
    "test_frozen": "Frozen",
    "test_shard_resources": "A shard's disk or memory is full",
    "test_refusals_doubled": "A shard rejects changes of which there is another copy",
    "test_clocks": "Clocks",
    "test_worker_clocks": "A worker's clock",
    "test_damage": "Damaged files",
    "test_network": "The network",
    "test_rolling": "Restarts",
    "test_versions": "Versions",
}
"""The parts of the table, by test file; other files follow under their own names."""

Result = Mapping[str, Any]


def words(name: str) -> str:
    """A test's name as a sentence, followed by its parameters."""
    sentence, _, given = name.removesuffix("]").partition("[")
    return sentence.replace("_", " ") + (f": {given}" if given else "")


def seen(failures: Mapping[str, int]) -> str:
    """The answers other than successes."""
    return ", ".join(f"{times} x {answer}" for answer, times in sorted(failures.items())) or "no failure"


def verdict(result: Result) -> str:
    """The findings of the checks."""
    return f"**{len(result['violations'])} violations**" if result["violations"] else "no violation"


def table(results: Iterable[Result]) -> str:
    """One line for each fault, in parts."""
    found = {(result["file"], result["name"]): result for result in results}
    files = [*(name for name in GROUPS), *sorted({file for file, _ in found} - GROUPS.keys())]
    lines = [
        "| fault | calls | answers other than 200 | longest stall | served again after | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for file in files:
        part = [result for (of, _), result in found.items() if of == file]
        if part:
            lines.append(f"| **{GROUPS.get(file, words(file.removeprefix('test_')))}** | | | | | |")
        lines += [
            f"| {words(result['name'])} | {result['calls']} | {seen(result['failures'])} "
            f"| {max(result['stall_s'], 0):.1f} s | {result['recovery_s']:.1f} s | {verdict(result)} |"
            for result in part
        ]
    return "\n".join(lines)


def chaos_table(runs: Sequence[Result]) -> str:
    """One line for each run of `make chaos` that ended by itself."""
    head = (
        "| minutes | seed | strikes | faults | kinds | calls | operations | answers other than 200 | stall | recovery |"
    )
    lines = [f"{head} |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {run['minutes']:g} | {run['seed']} | {run['strikes']} | {run['faults']} | {run['kinds']} | {run['calls']} "
        f"| {run['operations']} | {seen(run['failures'])} | {run['stall_s']:.1f} s | {run['recovery_s']:.1f} s "
        "| no violation |"
        for run in runs
    ]
    for run in runs:
        if by_kind := run.get("by_kind"):
            counts = ", ".join(f"{times} {words(kind)}" for kind, times in by_kind.items())
            lines += ["", f"The calls of seed {run['seed']} by what they ask for, and those answered 409: {counts}."]
    return "\n".join(lines)


def unaffected(p99: Result) -> str:
    """How much longer requests to other shards take while a shard is dead."""
    return (
        f" With one shard down, 99 % of {p99['calls']} requests for other shards were answered within "
        f"{p99['during_ms']} ms; before, within {p99['before_ms']} ms."
    )


def machine() -> str:
    """The machine and versions of the measurement."""
    return f"Measured with {_version('tarantool')} and {_version('redis-server')} on {os.cpu_count()} cores."


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.splitlines()[0].split()[:3])


def filled(page: str, name: str, content: str) -> str:
    """A page with new content between the marks with a name.

    Raises:
        ValueError: the marks are not there.
    """
    begin, end = BEGIN.format(name), END.format(name)
    head, begin_found, rest = page.partition(begin)
    _, end_found, tail = rest.partition(end)
    if not begin_found or not end_found:
        raise ValueError(f"no place for {name}: {begin} … {end}")
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"


def write(lines: Iterable[str]) -> None:
    """Fill the page with the results in JSON lines; parts without results stay as they are."""
    results = [json.loads(line) for line in lines]
    page = PAGE.read_text()
    if faults := [result for result in results if "file" in result]:
        others = "".join(map(unaffected, [result["p99"] for result in results if "p99" in result][-1:]))
        page = filled(page, "faults", f"{machine()}{others}\n\n{table(faults)}")
    if chaos := [result["chaos"] for result in results if "chaos" in result]:
        page = filled(page, "chaos", chaos_table(chaos))
    PAGE.write_text(page)


def run(path: Path, chaos: Sequence[str]) -> int:
    """Make all runs, and write their results to a file; returns the worst exit code."""
    environment = {**os.environ, REPORT: str(path), STRICT: "1"}
    tests = ["-m", "pytest", "-q", "-m", "long or not long", "tests/faults", "--deselect", "tests/faults/test_pairs.py"]
    commands = [tests, ["-m", "tests.faults.chaos", *chaos]]
    codes = [
        subprocess.run([sys.executable, *command], cwd=REPOSITORY, env=environment, check=False).returncode
        for command in commands
    ]
    return max(codes, key=abs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("run")
    make.add_argument("--minutes", default="30")
    make.add_argument("--seed")
    commands.add_parser("write").add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "write":
        write(line for path in options.files for line in path.read_text().splitlines())
        return 0
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "results.jsonl"
        path.touch()
        code = run(path, ["--minutes", options.minutes, *(["--seed", options.seed] if options.seed else [])])
        write(path.read_text().splitlines())
        return code


if __name__ == "__main__":
    sys.exit(main())
