"""`python -m worker` runs a worker; `python -m worker --check` tells by its exit code whether one is healthy."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from protocol import collector, names
from protocol.logs import configure
from protocol.redis_wire import Wire
from protocol.settings import (
    ClusterSettings,
    LogSettings,
    RedisSettings,
    StoreSettings,
    WorkerSettings,
    exit_with,
    load_or_exit,
    parse_shards,
)
from protocol.version import VERSION
from worker.cluster import learn_cluster
from worker.errors import WrongInstanceError
from worker.group import Group
from worker.loop import ShardLoop
from worker.presence import Presence
from worker.shard import Shard
from worker.standby import Standby
from worker.stream import BLOCK_MS, ShardStream
from worker.takeover import TakeOver

_log = logging.getLogger(__name__)

TICK_S = 1.0
STALLED_S = 15.0
"""A loop that has not come round for so long is stuck: every wait in it is shorter."""


def build_loops(
    cluster: ClusterSettings,
    redis: RedisSettings,
    store: StoreSettings,
    settings: WorkerSettings,
    cluster_id: str = "",
) -> list[ShardLoop]:
    """One loop for each shard of the settings, all under one consumer name."""
    shards = parse_shards(cluster.shards)
    positions = {name: position for position, name in enumerate(sorted(shards))}
    consumer = names.consumer(cluster_id, socket.gethostname(), os.getpid(), secrets.token_hex(4))
    loops: list[ShardLoop] = []
    for name, instances in shards.items():
        shard = Shard(name, instances, store, settings.call_timeout_s, cluster_id)
        group = Group(Wire(redis, name="worker", block_ms=BLOCK_MS, identify=True), name, consumer)
        stream = ShardStream(group, count=settings.read_frames)
        takeover = TakeOver(group, count=settings.read_frames, claim_idle_ms=int(settings.claim_idle_s * 1000))
        standby = Standby(positions[name], consumer)
        loops.append(ShardLoop(shard, group, stream, takeover, Presence(group), standby, settings))
    return loops


def supervise(loops: Sequence[ShardLoop], stop: threading.Event, heartbeat: Path | None) -> None:
    """Watch over the loops until `stop` is set; raises what ended one of them."""
    while not stop.wait(TICK_S):
        for loop in loops:
            if not loop.is_alive():
                raise loop.failure or RuntimeError(f"{loop.name} ended")
        oldest = min(loop.last_turn for loop in loops)
        if heartbeat is not None and time.monotonic() - oldest < STALLED_S:
            heartbeat.touch()


def drain(loops: Sequence[ShardLoop], timeout_s: float) -> bool:
    """Let every loop finish what it has in hand; returns whether all did in time."""
    for loop in loops:
        loop.stop()
    end = time.monotonic() + timeout_s
    for loop in loops:
        loop.join(max(0.0, end - time.monotonic()))
    return not any(loop.is_alive() for loop in loops)


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
    """Run a worker until SIGTERM or SIGINT, or print the version for `--version`; returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"tarant-kv {VERSION}\n")
        return 0
    settings = load_or_exit(WorkerSettings)
    if sys.argv[1:] == ["--check"]:
        return check(settings.worker_heartbeat_file)
    cluster, redis, store = load_or_exit(ClusterSettings), load_or_exit(RedisSettings), load_or_exit(StoreSettings)
    configure(load_or_exit(LogSettings).log_level)
    heartbeat = Path(settings.worker_heartbeat_file) if settings.worker_heartbeat_file else None
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    collector.settle()
    try:
        shards = [
            Shard(name, instances, store, settings.call_timeout_s)
            for name, instances in parse_shards(cluster.shards).items()
        ]
        cluster_id = learn_cluster(shards, stop, heartbeat)
        if cluster_id is None:
            return 0
        loops = build_loops(cluster, redis, store, settings, cluster_id)
        for loop in loops:
            loop.start()
        _log.info("worker started", extra={"shards": len(loops), "cluster": cluster_id})
        supervise(loops, stop, heartbeat)
    except WrongInstanceError as error:
        exit_with(str(error))
    except Exception:  # noqa: BLE001 - whatever it was, it ends this process and its supervisor starts the next
        _log.exception("a shard's loop failed")
        return 1
    if not drain(loops, settings.worker_drain_timeout_s):
        _log.error("stopped with frames in hand; other workers will take them over")
        return 1
    _log.info("worker stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
