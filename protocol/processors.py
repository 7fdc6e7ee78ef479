"""How many processors this process may use, by its affinity and the quotas of its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def usable(root: Path = _ROOT) -> float:
    """The processors that this process may keep busy; a container's quota may be a fraction of one.

    `/proc` and `/sys` are read below `root`.
    """
    return min((float(len(os.sched_getaffinity(0))), *_quotas(root)))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas of every control group that contains this process, directly or not."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for group in _with_parents(mounted, path):
                yield from _quota(group / "cpu.max")
        elif "cpu" in controllers.split(","):
            for group in (*_with_parents(mounted / controllers, path), *_with_parents(mounted / "cpu", path)):
                yield from _quota(group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us")


def _with_parents(mounted: Path, path: str) -> Iterator[Path]:
    """A group's directory and those above it. In a container the path may be the host's, and then only the top
    exists.
    """
    group = mounted / path.lstrip("/")
    while group != mounted and mounted in group.parents:
        yield group
        group = group.parent
    yield mounted


def _quota(*files: Path) -> Iterator[float]:
    """Processor time for each unit of time, from the files with quota and period; nothing if there is no quota."""
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        if quota not in ("max", "-1") and int(quota) > 0 and int(period) > 0:
            yield int(quota) / int(period)
    except (OSError, ValueError):
        return
