"""How a worker learns its cluster while shards are out of reach."""

from pathlib import Path
from typing import Any, cast

from protocol.stopping import Stop
from worker.cluster import learn_cluster
from worker.errors import ShardUnreachableError
from worker.heartbeat import Heartbeat


class SilentShard:
    """A shard that lets a call time out, and records whether the worker has updated its heartbeat before."""

    said_cluster = ""

    def __init__(self, name: str, heartbeat: Path, stop: Stop | None = None) -> None:
        self.name = name
        self.beats: list[bool] = []
        self._heartbeat = heartbeat
        self._stop = stop

    def connect(self) -> None:
        self.beats.append(self._heartbeat.exists())
        self._heartbeat.unlink(missing_ok=True)
        if self._stop is not None:
            self._stop.set()
        raise ShardUnreachableError("no answer in time", sent=False)


def test_a_worker_updates_its_heartbeat_before_each_shard_that_it_asks_for_its_cluster(tmp_path: Path) -> None:
    """Each may take a call's timeout. Together they may take longer than a heartbeat may be old."""
    heartbeat, stop = tmp_path / "heartbeat", Stop()
    shards = [SilentShard("s1", heartbeat), SilentShard("s2", heartbeat), SilentShard("s3", heartbeat, stop)]
    assert learn_cluster(cast("list[Any]", shards), stop, Heartbeat(str(heartbeat))) is None
    assert [shard.beats for shard in shards] == [[True]] * 3


def test_a_worker_that_is_told_to_stop_asks_no_further_shard_for_its_cluster(tmp_path: Path) -> None:
    heartbeat, stop = tmp_path / "heartbeat", Stop()
    shards = [SilentShard("s1", heartbeat), SilentShard("s2", heartbeat, stop), SilentShard("s3", heartbeat)]
    assert learn_cluster(cast("list[Any]", shards), stop) is None
    assert [len(shard.beats) for shard in shards] == [1, 1, 0]
