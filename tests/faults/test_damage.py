"""The files of a shard are damaged: it refuses to start, says why, and starts when they are repaired."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from localcluster.cluster import Cluster, ClusterError
from tests.faults.console import evaluate
from tests.faults.injections_processes import kill_for_good
from tests.faults.injections_shards import flip_bytes, newest
from tests.faults.load import Load
from tests.faults.scenario import Scenario

SHARD = "s3"
PROGRAM = f"shard-{SHARD}"
# How a block of a log begins, uncompressed or compressed; `XLOG_FIXHEADER_SIZE` in Tarantool's xlog.c.
BLOCK_HEAD = re.compile(rb"\xd5\xba\x0b[\xab\xba].{15}", re.DOTALL)

Place = Callable[[Path], tuple[Path, int]]
Mend = Callable[[Path, bytes], None]


def in_snapshot(directory: Path) -> tuple[Path, int]:
    """Two thirds into the newest snapshot, where the values are."""
    path = newest(directory, "snap")
    return path, path.stat().st_size * 2 // 3


def in_log(directory: Path) -> tuple[Path, int]:
    """In the rows of the block in the middle of the newest log, which is read after the snapshot."""
    path = newest(directory, "xlog")
    content = path.read_bytes()
    # In its head Tarantool would find the same damage, and call it something else.
    heads = [match.end() for match in BLOCK_HEAD.finditer(content)]
    return path, max((end for end in heads if end <= len(content) // 2), default=heads[0])


def put_back(path: Path, whole: bytes) -> None:
    path.write_bytes(whole)


def take_away(path: Path, _: bytes) -> None:
    """The previous snapshot and all logs since then still exist."""
    path.unlink()


@pytest.mark.parametrize(
    ("place", "mend"), [(in_snapshot, put_back), (in_snapshot, take_away), (in_log, put_back)], ids=lambda f: f.__name__
)
def test_a_shard_with_a_damaged_file_refuses_to_start_until_the_file_is_repaired(
    scenario: Scenario, place: Place, mend: Mend
) -> None:
    cluster = scenario.cluster
    directory = cluster.layout.shard_dir(next(shard for shard in cluster.config.shards if shard.name == SHARD))
    said = damaged = ""

    def damage() -> None:
        nonlocal said, damaged
        kill_for_good(cluster, PROGRAM)
        path, at = place(directory)
        damaged = path.name
        whole = flip_bytes(path, at)
        try:
            said = refusal(cluster)
        finally:
            mend(path, whole)
            cluster.start_program(PROGRAM)
        cluster.wait_running(PROGRAM)

    async def fault(load: Load) -> None:
        if place is in_snapshot:
            await asyncio.to_thread(evaluate, cluster.console_socket(SHARD), "box.snapshot()")
            await load.good(50)
        await asyncio.to_thread(damage)

    run = scenario.run(fault)
    assert damaged in said
    assert "checksum" in said
    assert "owns buckets" not in said
    assert run.failures().keys() <= {"503", "504"}


def refusal(cluster: Cluster) -> str:
    """Let the shard start, and return the error with which it ends."""
    log = cluster.log_path(PROGRAM)
    before = log.stat().st_size
    with pytest.raises(ClusterError):
        cluster.start_program(PROGRAM)
    cluster.stop_program(PROGRAM)
    with log.open("rb") as file:
        file.seek(before)
        return file.read().decode(errors="replace")
