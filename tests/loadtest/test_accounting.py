"""How the benchmark counts the CPU time and memory of processes and their children."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtest.bench.accounting import (
    TICKS_PER_S,
    Memory,
    Snapshot,
    machine_busy_s,
    members,
    memory,
    parse_memory,
    parse_stat,
    processes,
    snapshot,
    spent,
    tree,
)

# utime 250, stime 50, and 30 and 20 of children that have ended.
STAT = "42 (a (b) c) S 7 42 42 0 -1 4194560 100 0 0 0 250 50 30 20 20 0 3 0 100 1000 200"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Processes 10 → 11 → 12 and 20, and one that ended while its directory was listed."""
    for pid, parent, ticks in ((10, 1, 100), (11, 10, 200), (12, 11, 300), (20, 1, 1000)):
        add(tmp_path, pid, parent, ticks)
    (tmp_path / "99").mkdir()
    (tmp_path / "self").mkdir()
    (tmp_path / "stat").write_text("cpu  100 20 300 9000 800 3 4 500 0 0\ncpu0 1 2 3\n")
    return tmp_path


def add(proc: Path, pid: int, parent: int, ticks: int) -> None:
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / str(pid) / "stat").write_text(f"{pid} (x) S {parent} 0 0 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 1 1 1\n")


def test_a_name_with_blanks_and_parentheses_does_not_shift_the_fields() -> None:
    stat = parse_stat(STAT)
    assert (stat.pid, stat.parent) == (42, 7)


def test_the_time_of_children_that_have_ended_counts() -> None:
    assert parse_stat(STAT).ticks == 350


def test_a_process_that_ends_during_the_count_is_left_out(proc: Path) -> None:
    assert sorted(processes(proc)) == [10, 11, 12, 20]


def test_a_tree_is_a_process_with_all_its_descendants(proc: Path) -> None:
    assert tree(10, processes(proc)) == {10, 11, 12}
    assert tree(12, processes(proc)) == {12}


def test_the_tree_of_a_process_that_has_ended_is_empty(proc: Path) -> None:
    assert tree(77, processes(proc)) == set()


def test_processes_in_several_trees_count_once(proc: Path) -> None:
    assert members({"api": [10, 11], "redis": [20]}, processes(proc)) == {"api": {10, 11, 12}, "redis": {20}}


def test_a_snapshot_adds_up_each_tier(proc: Path) -> None:
    found = snapshot({"api": [10], "redis": [20]}, proc)
    assert found.tiers == {"api": 600 / TICKS_PER_S, "redis": 1000 / TICKS_PER_S}


def test_the_busy_time_of_a_machine_excludes_idle_wait_and_steal_time() -> None:
    assert machine_busy_s("cpu  100 20 300 9000 800 3 4 500 0 0\ncpu0 1") == 427 / TICKS_PER_S


def test_the_cost_is_the_difference_of_two_snapshots() -> None:
    before = Snapshot(tiers={"api": 1.0, "redis": 2.0}, machine=10.0)
    after = Snapshot(tiers={"api": 1.5, "redis": 2.25}, machine=12.0)
    assert spent(before, after) == Snapshot(tiers={"api": 0.5, "redis": 0.25}, machine=2.0)


def test_a_process_started_in_between_counts(proc: Path) -> None:
    before = snapshot({"api": [10]}, proc)
    add(proc, 13, 10, 50)
    assert spent(before, snapshot({"api": [10]}, proc)).tiers == {"api": pytest.approx(50 / TICKS_PER_S)}


def test_memory_is_read_in_bytes() -> None:
    text = "0-1 ---p 00000000 00:00 0  [rollup]\nRss:   2000 kB\nPss:   1500 kB\nPss_Anon:  900 kB\n"
    assert parse_memory(text) == Memory(rss=2000 * 1024, pss=1500 * 1024)


def test_a_real_process_and_its_child_are_accounted_for() -> None:
    burn = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass\n"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n{burn}\ninput()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 30
            while (used := snapshot({"x": [process.pid]}).tiers["x"]) < 0.2:
                assert time.monotonic() < deadline, f"{used} s of 0.2 s were accounted for"
                time.sleep(0.05)
            assert memory({"x": [process.pid]})["x"].rss > 1024 * 1024
        finally:
            process.kill()


def test_this_process_is_in_its_own_tree() -> None:
    assert os.getpid() in tree(os.getpid(), processes())
