"""`python -m loadtest.bench.soak`: full load for minutes, and whether memory, rate and cost stay the same.

Writes and reads take turns in slices of some seconds. After each slice the soak records the memory of every tier
(resident, with shared pages divided among its processes). It leaves the first slices out of the comparison: the shards
keep the ids of applied chunks for their retention, and every allocator needs some time to settle.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadtest.bench import accounting, systems
from loadtest.bench.bodies import BodyFiles
from loadtest.bench.load import LoadError
from loadtest.bench.plan import OPERATIONS, Combination, Operation
from loadtest.bench.processes import REPOSITORY, StartError
from loadtest.bench.systems import TIERS, System
from loadtest.bench.values import Data

SETTLE_S = 120
"""Seconds left out at the beginning, or a third of the run if that is less."""

LEAST_SLICES = 12
"""The least number of slices, so that each third has slices of both operations."""

_MIB = 1024 * 1024
_STEP = 7919


class Slice(msgspec.Struct, frozen=True):
    """Some seconds of one operation. `at_s` is when it ended, from the beginning of the run."""

    at_s: float
    operation: Operation
    requests_per_s: float
    errors: int
    pss: dict[str, int]
    """Bytes by tier."""

    cpu_us: dict[str, float]
    """CPU time per request by tier."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print a table; exit with 1 if a request failed."""
    options = _parser().parse_args(arguments)
    out: Path = options.out
    work = out.resolve() / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, mode=0o700)
    try:
        with systems.tarant_kv("tarant-kv", REPOSITORY, work) as kv:
            slices = _run(kv.system, options, BodyFiles(work / "bodies"))
    except (LoadError, StartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    (out / "soak.json").write_bytes(msgspec.json.format(msgspec.json.encode(slices), indent=1))
    text = table(slices)
    (out / "soak.md").write_text(text)
    print(text)
    return 1 if any(each.errors for each in slices) else 0


def _run(system: System, options: argparse.Namespace, bodies: BodyFiles) -> list[Slice]:
    data = Data("string", options.keys)
    system.driver.fill(data)
    slices: list[Slice] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < options.minutes * 60 or len(slices) < LEAST_SLICES:
        operation = OPERATIONS[len(slices) % len(OPERATIONS)]
        combination = Combination("string", options.connections, operation, options.batch)
        path = bodies.path(data, combination)
        before = accounting.snapshot(system.roots)
        load = system.driver.run(combination, path, options.slice, len(slices) * _STEP, 0.0)
        spent = accounting.spent(before, accounting.snapshot(system.roots))
        memory = accounting.memory(system.roots)
        slices.append(
            Slice(
                at_s=time.monotonic() - began,
                operation=operation,
                requests_per_s=load.requests / load.seconds,
                errors=load.failures,
                pss={tier: memory[tier].pss for tier in TIERS},
                cpu_us={tier: spent.tiers[tier] / max(1, load.sent) * 1e6 for tier in TIERS},
            )
        )
        if len(slices) % 10 == 1:
            shown = ", ".join(f"{tier} {memory[tier].pss / _MIB:.0f} MiB" for tier in TIERS)
            print(f"{passed:6.0f} s  {operation} {slices[-1].requests_per_s:,.0f} requests/s  {shown}", file=sys.stderr)
    system.driver.verify(data)
    return slices


def halves(slices: Sequence[Slice]) -> tuple[list[Slice], list[Slice]]:
    """The slices that are compared: the first third after settling, and the last third."""
    end = slices[-1].at_s
    start = min(SETTLE_S, end / 3)
    third = (end - start) / 3
    return (
        [each for each in slices if start <= each.at_s <= start + third],
        [each for each in slices if each.at_s >= end - third],
    )


def table(slices: Sequence[Slice]) -> str:
    """The comparison in Markdown."""
    first, last = halves(slices)
    minutes = slices[-1].at_s / 60
    lines = [
        f"{minutes:.1f} minutes at full load, {len(slices)} slices, {sum(each.errors for each in slices)} errors.",
        "Medians of the first and the last third after the settling time.",
        "",
        "| what | first | last | last / first |",
        "| --- | ---: | ---: | ---: |",
    ]
    for tier in TIERS:
        before, after = (statistics.median(each.pss[tier] for each in part) / _MIB for part in (first, last))
        lines.append(f"| {tier}: memory, MiB | {before:.1f} | {after:.1f} | {after / before:.2f} |")
    for operation in OPERATIONS:
        rates = [
            statistics.median(each.requests_per_s for each in part if each.operation == operation)
            for part in (first, last)
        ]
        lines.append(f"| {operation}: requests/s | {rates[0]:,.0f} | {rates[1]:,.0f} | {rates[1] / rates[0]:.2f} |")
        costs = [
            statistics.median(sum(each.cpu_us.values()) for each in part if each.operation == operation)
            for part in (first, last)
        ]
        lines.append(f"| {operation}: CPU us/request | {costs[0]:,.0f} | {costs[1]:,.0f} | {costs[1] / costs[0]:.2f} |")
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--batch", type=int, default=100, help="keys in a request")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--slice", type=float, default=5.0, help="seconds of writes, then of reads, in turn")
    parser.add_argument("--keys", type=int, default=200_000, help="different keys")
    parser.add_argument("--out", type=Path, default=Path(".bench"), help="directory of the results")
    return parser


if __name__ == "__main__":
    # SIGTERM must also stop the system that the soak has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
