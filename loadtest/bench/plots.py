"""Plots of a run: throughput by batch size, and CPU time per key in each tier, beside the peers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from loadtest.bench.plan import MAIN_CONNECTIONS, OPERATIONS, VALUES, Operation, Values
from loadtest.bench.results import Results, Row, rows
from loadtest.bench.systems import TIERS

_SIZE = (11.0, 4.6)
_COLORS = {"api": "#4c78a8", "worker": "#f58518", "redis": "#e45756", "tarantool": "#72b7b2"}
_BAR_WIDTH = 0.8

mpl.use("agg")


def draw(results: Results, directory: Path) -> list[Path]:
    """Write one plot of each kind for every kind of values that was measured; returns the files."""
    found = rows(results.measurements)
    files = []
    for values in VALUES:
        chosen = [
            row
            for row in found
            if row.combination.values == values
            and row.combination.connections == MAIN_CONNECTIONS
            and not row.combination.share
        ]
        if chosen:
            files += [_throughput(chosen, results.systems, values, directory)]
            files += [_costs(chosen, results.systems, values, directory)]
    return files


def _axes(title: str) -> tuple[Figure, dict[Operation, Any]]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    figure.suptitle(title)
    return figure, dict(zip(OPERATIONS, figure.subplots(1, len(OPERATIONS)), strict=True))


def _throughput(found: Sequence[Row], systems: Sequence[str], values: Values, directory: Path) -> Path:
    figure, axes = _axes(f"Keys per second by batch size, {values} values, {MAIN_CONNECTIONS} connections")
    for operation, axis in axes.items():
        for system in systems:
            points = _points(found, operation, system)
            axis.plot(
                [row.combination.batch for row in points],
                [row.keys_per_s for row in points],
                marker="o",
                linestyle="--" if system == "floor" else "-",
                label=system,
            )
        axis.set(title=operation, xscale="log", yscale="log", xlabel="keys in a batch", ylabel="keys/s")
        axis.grid(visible=True, which="both", alpha=0.3)
        axis.legend()
    path = directory / f"throughput-{values}.png"
    figure.savefig(path, dpi=110)
    return path


def _costs(found: Sequence[Row], systems: Sequence[str], values: Values, directory: Path) -> Path:
    """Stacked bars, one for each system. Each batch size has a panel with its own scale: costs differ a hundredfold."""
    batches = sorted({row.combination.batch for row in found})
    figure = Figure(figsize=(3.2 * len(batches) + 1.5, 7.5), layout="constrained")
    figure.suptitle(f"CPU microseconds per key by tier, {values} values, {MAIN_CONNECTIONS} connections")
    panels = figure.subplots(len(OPERATIONS), len(batches), squeeze=False)
    for line, operation in zip(panels, OPERATIONS, strict=True):
        for axis, batch in zip(line, batches, strict=True):
            bars = [
                row for system in systems for row in _points(found, operation, system) if row.combination.batch == batch
            ]
            bottoms = [0.0] * len(bars)
            for tier in TIERS:
                heights = [row.cpu_us_per_key.get(tier, 0.0) for row in bars]
                axis.bar(
                    [row.system for row in bars], heights, _BAR_WIDTH, bottom=bottoms, color=_COLORS[tier], label=tier
                )
                bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
            axis.set(title=f"{operation} {batch:,}", ylabel="us per key" if batch == batches[0] else "")
            axis.tick_params(axis="x", rotation=30)
    panels[0][-1].legend()
    path = directory / f"cost-{values}.png"
    figure.savefig(path, dpi=110)
    return path


def _points(found: Sequence[Row], operation: Operation, system: str) -> list[Row]:
    points = [row for row in found if row.system == system and row.combination.operation == operation]
    return sorted(points, key=lambda row: row.combination.batch)
