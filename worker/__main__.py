"""`python -m worker` runs a worker; with `--check` it exits with 0 if the worker is healthy."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocol import collector, compiled, names
from protocol.announced import Address, Shards, announced
from protocol.logs import configure
from protocol.redis_wire import Wire
from protocol.settings import (
    ClusterSettings,
    CompiledSettings,
    LogSettings,
    RedisSettings,
    SettingsError,
    StoreSettings,
    WorkerSettings,
    exit_with,
    load_or_exit,
    parse_shards,
)
from protocol.stopping import Stop
from protocol.version import VERSION
from worker.answer_room import AnswerRoom
from worker.cluster import learn_cluster
from worker.errors import WrongInstanceError
from worker.group import Group
from worker.heartbeat import NONE, Heartbeat
from worker.loop import ShardLoop
from worker.loops import LoopKey, Loops
from worker.presence import Presence
from worker.shard import Shard
from worker.standby import Standby
from worker.stream import BLOCK_MS, ShardStream
from worker.takeover import TakeOver
from worker.watch import ShardWatch

_log = logging.getLogger(__name__)

TICK_S = 1.0
ASK_TIMEOUT_S = 1.0
STALLED_S = 15.0
"""A loop that has not completed a round for this long is stuck: every wait in it is shorter."""


class Worker:
    """The parts of one worker; all use one consumer name. `seeds` are the shards of the settings."""

    def __init__(
        self, seeds: Shards, redis: RedisSettings, store: StoreSettings, settings: WorkerSettings, cluster: str = ""
    ) -> None:
        self._lanes = redis.lanes
        self._store = store
        self._settings = settings
        self._cluster = cluster
        self._consumer = names.consumer(cluster, socket.gethostname(), os.getpid(), secrets.token_hex(4))
        self.loops = Loops(self._make, seeds, lanes=len(self._lanes))
        self._watch: ShardWatch | None = None
        self._room = AnswerRoom()

    def start(self, shards: Shards) -> None:
        """Work for these shards, and for those that are announced later."""
        self._watch = ShardWatch(shards, self._asked, self.loops.ensure)
        self.loops.ensure(shards)
        self._watch.start()

    def supervise(self, stop: Stop, heartbeat: Heartbeat) -> None:
        """Watch the threads until `stop` is set; raises the error that ended one of them."""
        watch = self._watch
        while watch is not None and not stop.wait(TICK_S):
            self.loops.tick()
            if not watch.is_alive():
                raise watch.failure or RuntimeError(f"{watch.name} ended")
            oldest = min(self.loops.oldest_turn(), watch.last_turn)
            if time.monotonic() - oldest < STALLED_S:
                heartbeat.beat()

    def drain(self, timeout_s: float, heartbeat: Heartbeat = NONE) -> bool:
        """Let every loop finish its frames; returns whether all did in time. A worker that drains is healthy."""
        if self._watch is not None:
            self._watch.stop()
        return self.loops.drain(timeout_s, heartbeat.beat)

    def _make(self, key: LoopKey, instances: Sequence[Address], position: int) -> ShardLoop:
        settings = self._settings
        shard = Shard(key.shard, instances, self._store, settings.call_timeout_s, self._cluster, self._room)
        lane = self._lanes[key.lane]
        wire = Wire(lane, name="worker", block_ms=BLOCK_MS, identify=True)
        # With a single lane, the loop's name does not contain it.
        group = Group(wire, key.shard, self._consumer, lane.address.name if len(self._lanes) > 1 else "")
        stream = ShardStream(group, count=settings.read_frames)
        takeover = TakeOver(group, count=settings.read_frames, claim_idle_ms=int(settings.claim_idle_s * 1000))
        standby = Standby(position, self._consumer)
        return ShardLoop(shard, group, stream, takeover, Presence(group), standby, settings, self._refused)

    def _asked(self, name: str, instances: Sequence[Address]) -> Shard:
        """A connection for one question to a shard."""
        return Shard(name, instances, self._store, min(ASK_TIMEOUT_S, self._settings.call_timeout_s), self._cluster)

    def _refused(self, payload: Any) -> None:
        if self._watch is not None:
            self._watch.refused(payload)


def check(heartbeat: str) -> int:
    """The exit code of a health check: 0 if the heartbeat is fresh."""
    if not heartbeat:
        exit_with("TARANTKV_WORKER_HEARTBEAT_FILE is not set, nothing to check")
    try:
        age = time.time() - Path(heartbeat).stat().st_mtime
    except OSError as error:
        sys.stderr.write(f"no heartbeat: {error}\n")
        return 1
    return 0 if age < STALLED_S else 1


def main() -> int:
    """Run a worker until SIGTERM or SIGINT, or print the version for `--version`. Returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"tarant-kv {VERSION}\n")
        return 0
    settings = load_or_exit(WorkerSettings)
    if sys.argv[1:] == ["--check"]:
        return check(settings.worker_heartbeat_file)
    cluster, redis, store = load_or_exit(ClusterSettings), load_or_exit(RedisSettings), load_or_exit(StoreSettings)
    configure(load_or_exit(LogSettings).log_level)
    try:
        compiled.check(load_or_exit(CompiledSettings).compiled)
    except SettingsError as error:
        exit_with(str(error))
    heartbeat = Heartbeat(settings.worker_heartbeat_file)
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    collector.settle()
    seeds = parse_shards(cluster.shards)
    try:
        shards = [Shard(name, instances, store, settings.call_timeout_s) for name, instances in seeds.items()]
        cluster_id = learn_cluster(shards, stop, heartbeat)
        if cluster_id is None:
            return 0
        worker = Worker(seeds, redis, store, settings, cluster_id)
        worker.start(announced({shard.name: shard.said_shards for shard in shards}) or seeds)
        _log.info("worker started", extra={"loops": len(worker.loops), "cluster": cluster_id})
        worker.supervise(stop, heartbeat)
    except WrongInstanceError as error:
        exit_with(str(error))
    except Exception:  # noqa: BLE001 - every error ends this process, and its supervisor starts the next
        _log.exception("a shard's loop failed")
        return 1
    if not worker.drain(settings.worker_drain_timeout_s, heartbeat):
        _log.error("stopped with frames in hand; other workers will take them over")
        return 1
    _log.info("worker stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
