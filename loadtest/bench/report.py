"""The tables, in Markdown. CPU time comes first: a busy machine changes it least."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loadtest.bench.plan import Combination
from loadtest.bench.ratios import Ratio, compare
from loadtest.bench.results import GENERATOR, Results, Row, rows
from loadtest.bench.systems import TIERS

_COLUMNS = (*TIERS, GENERATOR)
_BUSY_CORES = 0.2
"""If other programs keep more processors than this busy, a rate is doubtful."""

Cells = Sequence[str]


def markdown(results: Results) -> str:
    """The whole report."""
    found = rows(results.measurements)
    machine = ", ".join(f"{name}: {value}" for name, value in results.machine.items())
    parts = [
        f"# Benchmark\n\n{machine}. Medians over the rounds; all systems in turn, in one run.",
        "## CPU time per request, microseconds\n\n" + _cpu(found, per_key=False),
        "## CPU time per key, microseconds\n\n" + _cpu(found, per_key=True),
        "## Throughput and latency\n\n" + _throughput(found),
        *_ratio_parts(results),
        "## Memory at the end, MiB\n\n" + _memory(results),
    ]
    doubtful = [row for row in found if row.other_cores > _BUSY_CORES]
    if doubtful:
        parts.append(
            f"**{len(doubtful)} of {len(found)} rows were measured while other programs kept more than {_BUSY_CORES} "
            "of a processor busy:** do not trust their rates and latencies; their CPU times are less affected."
        )
    return "\n\n".join(parts) + "\n"


def table(header: Cells, lines: Iterable[Cells], *, text_columns: int) -> str:
    """A Markdown table; all columns after the first ones hold numbers."""
    aligned = ["---"] * text_columns + ["---:"] * (len(header) - text_columns)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, aligned, *lines))


def _cpu(found: Sequence[Row], *, per_key: bool) -> str:
    def cells(row: Row) -> list[str]:
        divisor = row.combination.batch if per_key else 1
        costs = row.cpu_us_per_key if per_key else row.cpu_us_per_request
        tiers = [_number(costs[tier]) if tier in costs else "" for tier in _COLUMNS]
        return [*_load(row.combination), row.system, _number(row.system_cpu_us_per_request / divisor), *tiers]

    header = ["values", "connections", "load", "system", "all tiers", *_COLUMNS]
    return table(header, map(cells, found), text_columns=4)


def _throughput(found: Sequence[Row]) -> str:
    def cells(row: Row) -> list[str]:
        latency = [f"{row.latency_ms[percentile]:.2f}" for percentile in ("50", "99", "99.9")]
        doubt = f"{row.other_cores:.2f}"
        rates = [f"{row.requests_per_s:,.0f}", f"{row.keys_per_s:,.0f}"]
        return [*_load(row.combination), row.system, *rates, *latency, str(row.errors), doubt]

    header = ["values", "connections", "load", "system", "requests/s", "keys/s", "p50 ms", "p99 ms", "p99.9 ms"]
    return table([*header, "errors", "cores busy elsewhere"], map(cells, found), text_columns=4)


def _ratio_parts(results: Results) -> list[str]:
    if not results.systems:
        return []
    system, *others = results.systems
    ratios = compare(results.measurements, system, others)
    parts = []
    promised = [ratio for ratio in ratios if ratio.target is not None]
    if promised:
        parts.append(f"## {system} against its promises\n\n" + _promised(promised))
    for peer in others:
        of_peer = [ratio for ratio in ratios if ratio.peer == peer]
        if of_peer:
            parts.append(f"## {system} divided by {peer}\n\n" + _against(of_peer))
    return parts


def _promised(ratios: Sequence[Ratio]) -> str:
    def cells(ratio: Ratio) -> list[str]:
        bound = "at most" if ratio.at_most else "at least"
        verdict = "pass" if ratio.passed else "FAIL"
        load = _load(ratio.combination)
        return [*load, ratio.peer, ratio.figure, verdict, f"{ratio.value:.2f}", f"{bound} {ratio.target:g}"]

    header = ["values", "connections", "load", "against", "figure", "verdict", "ratio", "promised"]
    return table(header, map(cells, ratios), text_columns=6)


def _against(ratios: Sequence[Ratio]) -> str:
    combinations = dict.fromkeys(ratio.combination for ratio in ratios)
    figures = list(dict.fromkeys(ratio.figure for ratio in ratios))
    values = {(ratio.combination, ratio.figure): ratio.value for ratio in ratios}
    lines = [
        [*_load(combination), *(f"{values[combination, figure]:.2f}" for figure in figures)]
        for combination in combinations
    ]
    return table(["values", "connections", "load", *figures], lines, text_columns=3)


def _memory(results: Results) -> str:
    lines = [
        [system, tier, f"{memory.rss / 2**20:,.0f}", f"{memory.pss / 2**20:,.0f}"]
        for system, tiers in results.memory.items()
        for tier, memory in tiers.items()
    ]
    return table(["system", "tier", "RSS", "PSS"], lines, text_columns=2)


def _load(combination: Combination) -> list[str]:
    share = f" at {combination.share:.0%} of fastapi's rate" if combination.share else ""
    return [combination.values, str(combination.connections), f"{combination.operation} {combination.batch:,}{share}"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
