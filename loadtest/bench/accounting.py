"""The cost of a run by the operating system's account: CPU time and memory of process trees, from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BUSY_FIELDS = (0, 1, 2, 5, 6)
"""The fields of the first line of /proc/stat that count: user, nice, system, irq, softirq. Idle, waiting and stolen
time do not count."""

Roots = Mapping[str, Iterable[int]]
"""The processes at the root of each tier's trees."""


class ProcessStat(msgspec.Struct, frozen=True):
    """One process: its parent, and the CPU time in ticks of all its threads and of its children that have ended."""

    pid: int
    parent: int
    ticks: int


class Memory(msgspec.Struct, frozen=True):
    """Memory of a tier in bytes: resident, and with shared pages divided among the processes that share them."""

    rss: int
    pss: int


def parse_stat(text: str) -> ProcessStat:
    """Read a line of /proc/PID/stat.

    The name, in parentheses, may itself contain blanks and parentheses, so the fields begin after the last one. The CPU
    time of children that have ended is in their parent's fields once the parent has waited for them.
    """
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return ProcessStat(
        pid=int(head.split(" ", 1)[0]),
        parent=int(fields[1]),
        ticks=sum(map(int, fields[11:15])),
    )


def processes(proc: Path = PROC) -> dict[int, ProcessStat]:
    """All processes of the machine."""
    found = {}
    for entry in os.scandir(proc):
        if entry.name.isdecimal():
            try:
                found[int(entry.name)] = parse_stat((proc / entry.name / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def tree(root: int, all_processes: Mapping[int, ProcessStat]) -> set[int]:
    """The ids of a process that exists and of all its descendants."""
    children = defaultdict(list)
    for process in all_processes.values():
        children[process.parent].append(process.pid)
    found: set[int] = set()
    waiting = [root] if root in all_processes else []
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children[pid]
    return found


def members(roots: Roots, all_processes: Mapping[int, ProcessStat]) -> dict[str, set[int]]:
    """The ids of all processes of each tier."""
    return {tier: set().union(*(tree(root, all_processes) for root in pids)) for tier, pids in roots.items()}


class Snapshot(msgspec.Struct, frozen=True):
    """CPU time spent so far, in seconds: by each tier, and by the whole machine."""

    tiers: dict[str, float]
    machine: float


def machine_busy_s(text: str) -> float:
    """Seconds of CPU time that all processors together were busy, from the text of /proc/stat."""
    fields = text.split("\n", 1)[0].split()[1:]
    return sum(int(fields[position]) for position in _BUSY_FIELDS) / TICKS_PER_S


def snapshot(roots: Roots, proc: Path = PROC) -> Snapshot:
    """Read the CPU time of every tier."""
    found = processes(proc)
    tiers = {tier: sum(found[pid].ticks for pid in pids) / TICKS_PER_S for tier, pids in members(roots, found).items()}
    return Snapshot(tiers=tiers, machine=machine_busy_s((proc / "stat").read_text()))


def spent(before: Snapshot, after: Snapshot) -> Snapshot:
    """The CPU time spent between two snapshots."""
    return Snapshot(
        tiers={tier: after.tiers[tier] - seconds for tier, seconds in before.tiers.items()},
        machine=after.machine - before.machine,
    )


def parse_memory(text: str) -> Memory:
    """Read /proc/PID/smaps_rollup."""
    sizes = {"Rss": 0, "Pss": 0}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in sizes:
            sizes[name] = int(rest.split()[0]) * 1024
    return Memory(rss=sizes["Rss"], pss=sizes["Pss"])


def memory(roots: Roots, proc: Path = PROC) -> dict[str, Memory]:
    """The memory of each tier now."""
    totals = {}
    for tier, pids in members(roots, processes(proc)).items():
        parts = []
        for pid in pids:
            try:
                parts.append(parse_memory((proc / str(pid) / "smaps_rollup").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                continue
        totals[tier] = Memory(rss=sum(part.rss for part in parts), pss=sum(part.pss for part in parts))
    return totals
