"""How many processors a container has, and how many api processes run there."""

import os
from pathlib import Path

import pytest

from api.__main__ import process_count
from protocol import processors

V2 = "0::{path}\n"
V1 = "5:memory:{path}\n3:cpu,cpuacct:{path}\n0::/\n"


@pytest.fixture(autouse=True)
def sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))


def machine(root: Path, groups: str, **files: str) -> Path:
    """A machine's `/proc` and `/sys`, with these files below `/sys/fs/cgroup`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2.format(path="/"), {"cpu.max": "150000 100000\n"}, 1.5),
        (V2.format(path="/"), {"cpu.max": "max 100000\n"}, 16),
        (V2.format(path="/"), {}, 16),
        # As in a service of systemd: the quota of the parent group counts, too.
        (V2.format(path="/a/b"), {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4),
        (V2.format(path="/a/b"), {"a/b/cpu.max": "200000 100000\n", "a/cpu.max": "400000 100000\n"}, 2),
        # As in a container that sees the host's path, but only its own group.
        (V2.format(path="/docker/0123"), {"cpu.max": "300000 100000\n"}, 3),
        (V2.format(path="/../../x"), {"cpu.max": "300000 100000\n"}, 3),
        (
            V1.format(path="/docker/0123"),
            {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            2.5,
        ),
        (
            V1.format(path="/x"),
            {"cpu/x/cpu.cfs_quota_us": "50000\n", "cpu/x/cpu.cfs_period_us": "100000\n", "cpu/cpu.cfs_quota_us": "-1"},
            0.5,
        ),
        (V1.format(path="/"), {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        (V2.format(path="/"), {"cpu.max": "nonsense\n"}, 16),
        ("", {}, 16),
    ],
)
def test_a_quota_bounds_the_processors(tmp_path: Path, groups: str, files: dict[str, str], expected: float) -> None:
    assert processors.usable(machine(tmp_path, groups, **files)) == expected


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert processors.usable(tmp_path) == 16


@pytest.mark.parametrize(("usable", "expected"), [(0.5, 1), (1.0, 1), (3.9, 1), (4.0, 2), (16.0, 8)])
def test_there_is_a_process_for_every_two_processors(
    monkeypatch: pytest.MonkeyPatch, usable: float, expected: int
) -> None:
    monkeypatch.setattr(processors, "usable", lambda: usable)
    assert process_count(0) == expected
    assert process_count(3) == 3
