"""The report of a run: the promises, the measurements, and which processes used the processors."""

from __future__ import annotations

import msgspec

from loadtest.overload.phases import Phase
from loadtest.overload.tally import percentile

DEADLINE_S = 5.0
REFUSED_WITHIN_S = 0.1
NORMAL_WITHIN_S = 5
LEAST_SHARE = 0.9
LEAST_LASTING = 0.75
"""A machine's own speed varies by a quarter."""

MOST_GROWTH_BYTES = 256 * 1024 * 1024
_MIB = 1024 * 1024


class Result(msgspec.Struct):
    """All phases of a run."""

    batch: int
    operation: str
    factor: float
    capacity: Phase
    usual: Phase
    overload: Phase
    after: Phase
    capacity_after: Phase

    @property
    def capacity_rate(self) -> float:
        """The mean of the capacity before and after, in requests/s: a machine's speed changes."""
        return (self.capacity.rate + self.capacity_after.rate) / 2


Promise = tuple[str, str, bool]
"""The promise, the measurement, and whether the promise was kept."""


def normal_after_s(usual: Phase, after: Phase) -> int:
    """Seconds from the end of overload until a second has no failure and no answer slower than twice the usual."""
    limit = 2 * max(usual.tally.slowest_by_second.values(), default=0.0)
    last = -1
    for second, counts in after.tally.by_second.items():
        if set(counts) - {200} or after.tally.slowest_by_second[second] > limit:
            last = max(last, second)
    return last + 1


def promises(result: Result) -> list[Promise]:
    """Every promise about overload."""
    tally = result.overload.tally
    share = result.overload.rate / result.capacity_rate
    refused = tally.percentile(503, 0.99)
    accepted = tally.percentile(200, 0.99)
    others = sum(tally.answered(status) for status in tally.statuses() if status not in (200, 503))
    lasting = result.capacity_after.rate / result.capacity.rate
    normal = normal_after_s(result.usual, result.after)
    growth = {name: most - first for name, (first, most, _) in result.overload.memory.items()}
    grown = max(growth, key=lambda name: growth[name])
    return [
        ("answered, of the capacity before and after", f"{share:.0%}", share >= LEAST_SHARE),
        (
            "the rest: 503 with Retry-After",
            f"{tally.answered(503):,} of them, {tally.without_retry_after} without, {others} other answers",
            not tally.without_retry_after and not others,
        ),
        ("p99 of the 503s", f"{refused * 1000:.0f} ms", refused < REFUSED_WITHIN_S),
        ("p99 of the answered", f"{accepted * 1000:.0f} ms", accepted < DEADLINE_S),
        (
            "memory bounded",
            f"{grown} grew most, by {growth[grown] / _MIB:.0f} MiB",
            growth[grown] < MOST_GROWTH_BYTES,
        ),
        ("back to normal", f"after {normal} s", normal <= NORMAL_WITHIN_S),
        ("capacity afterwards, of that before", f"{lasting:.0%}", lasting >= LEAST_LASTING),
    ]


def render(result: Result) -> str:
    """The report as Markdown."""
    lines = [
        _title(result),
        "",
        "| promised | measured | kept |",
        "|---|---|---|",
        *(f"| {what} | {measured} | {'yes' if kept else 'NO'} |" for what, measured, kept in promises(result)),
        "",
        "| phase | offered/s | 200/s | 503/s | other | p50, p99, max of 200, ms | p50, p99 of 503 | late, p99, ms |",
        "|---|---|---|---|---|---|---|---|",
        *(_phase_line(name, phase) for name, phase in _phases(result)),
        "",
        "Processors used, and the most memory (MiB):",
        "",
        f"| phase | {' | '.join(result.capacity.cpu_s)} | generators | whole machine | system, us for each 200 |",
        f"|---|{'---|' * (len(result.capacity.cpu_s) + 3)}",
        *(_cpu_line(name, phase) for name, phase in _phases(result)),
    ]
    return "\n".join(lines)


def _title(result: Result) -> str:
    what = f"{result.operation} batches of {result.batch} keys"
    return f"{what}, {result.factor:g} times capacity for {result.overload.tally.seconds:.0f} s"


def _phases(result: Result) -> list[tuple[str, Phase]]:
    return [
        ("capacity, closed-loop", result.capacity),
        ("half of it", result.usual),
        ("overload", result.overload),
        ("half, right after", result.after),
        ("capacity again", result.capacity_after),
    ]


def _phase_line(name: str, phase: Phase) -> str:
    tally = phase.tally
    others = sum(tally.answered(status) for status in tally.statuses() if status not in (200, 503))
    good = " / ".join(f"{tally.percentile(200, share) * 1000:.0f}" for share in (0.5, 0.99, 1.0))
    refused = " / ".join(f"{tally.percentile(503, share) * 1000:.0f}" for share in (0.5, 0.99))
    late = percentile(tally.late, 0.99) * 1000
    return (
        f"| {name} | {tally.offered / tally.seconds:,.0f} | {phase.rate:,.0f} "
        f"| {tally.answered(503) / tally.seconds:,.0f} | {others} | {good} | {refused} | {late:.1f} |"
    )


def _cpu_line(name: str, phase: Phase) -> str:
    seconds = phase.tally.seconds
    cells = [
        f"{used / seconds:.2f}, {phase.memory[tier][1] / _MIB:.0f}" if tier in phase.memory else f"{used / seconds:.2f}"
        for tier, used in phase.cpu_s.items()
    ]
    cells += [f"{used / seconds:.2f}" for used in (phase.tally.cpu_s, phase.machine_cpu_s)]
    cells.append(f"{sum(phase.cpu_s.values()) * 1e6 / max(1, phase.tally.answered(200)):,.0f}")
    return f"| {name} | {' | '.join(cells)} |"
