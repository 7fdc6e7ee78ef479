"""Reads from Redis how deep the stream of each shard is, which frames the workers have in hand, which workers are
present, and how full each Redis is.

If there are several lanes, a shard has a stream on each of them; their numbers are added up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import redis

from api.queue.lane import SILENT_S
from protocol.frames import VERSION
from protocol.names import GROUP, shard_stream, shard_workers
from protocol.redis_wire import AsyncWire
from protocol.settings import RedisSettings

_log = logging.getLogger(__name__)

_COMMANDS = 4

MAX_LOOKED_AT = 100
"""Frames in hand that are checked for earlier deliveries."""


class Queue(NamedTuple):
    """One shard's stream. A number that Redis does not give is None.

    `depth` counts the frames without an answer, `in_hand` those of them that workers have read, and `by_worker` has the
    number for each worker. `redelivered` of the first `MAX_LOOKED_AT` in hand were taken over from another worker.
    `workers` are those present, with the Unix time in ms of their last announcement.
    """

    depth: int | None = None
    in_hand: int | None = None
    redelivered: int | None = None
    by_worker: Mapping[str, int] | None = None
    workers: Mapping[str, int] | None = None


class Memory(NamedTuple):
    """Bytes that a Redis uses, and its limit; None if it does not give the number, or has no limit."""

    used: int | None = None
    limit: int | None = None


class View(NamedTuple):
    """The queue of each shard, and the memory of each lane by its name."""

    queues: Mapping[str, Queue]
    memory: Mapping[str, Memory]


async def view(settings: RedisSettings, shards: Sequence[str]) -> View:
    """The queue of each shard, over all lanes; all numbers are None if every Redis is out of reach."""
    lanes = settings.lanes
    silent_s = SILENT_S if len(lanes) > 1 else 0.0
    found = await asyncio.gather(*(_of_lane(lane, shards, silent_s) for lane in lanes))
    return View(
        {shard: _sum([queues[shard] for queues, _ in found]) for shard in shards},
        {lane.address.name: memory for lane, (_, memory) in zip(lanes, found, strict=True)},
    )


async def _of_lane(settings: RedisSettings, shards: Sequence[str], silent_s: float) -> tuple[dict[str, Queue], Memory]:
    wire = AsyncWire(settings, name="api-status", silent_s=silent_s)
    commands: list[tuple[str | int, ...]] = []
    for shard in shards:
        commands += [
            ("XLEN", shard_stream(shard)),
            ("XPENDING", shard_stream(shard), GROUP),
            ("XPENDING", shard_stream(shard), GROUP, "-", "+", MAX_LOOKED_AT),
            ("ZRANGE", shard_workers(shard, VERSION), 0, -1, "WITHSCORES"),
        ]
    commands.append(("INFO", "memory"))
    try:
        *replies, info = await wire.run(commands)
    except (redis.RedisError, OSError, TimeoutError) as error:
        _log.debug("the queues in redis could not be read", extra={"error": str(error)})
        return dict.fromkeys(shards, Queue()), Memory()
    finally:
        wire.close()
    found = {shard: _queue(*replies[place * _COMMANDS : (place + 1) * _COMMANDS]) for place, shard in enumerate(shards)}
    return found, _memory(info)


def _memory(info: Any) -> Memory:
    """Decode the answer to `INFO memory`; an error gives None. A limit of 0 means no limit."""
    if not isinstance(info, bytes):
        return Memory()
    lines = dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
    used, limit = (lines.get(name, b"") for name in (b"used_memory", b"maxmemory"))
    return Memory(int(used) if used.isdigit() else None, int(limit) or None if limit.isdigit() else None)


def _sum(queues: Sequence[Queue]) -> Queue:
    """Add up the queues of one shard on several lanes; lanes without numbers are left out."""
    first, *others = queues
    for queue in others:
        by_worker = Counter(first.by_worker or {}) + Counter(queue.by_worker or {})
        said = [workers for workers in (first.workers, queue.workers) if workers is not None]
        seen = {name: max(each.get(name, 0) for each in said) for name in set().union(*said)} if said else None
        first = Queue(
            _added(first.depth, queue.depth),
            _added(first.in_hand, queue.in_hand),
            _added(first.redelivered, queue.redelivered),
            None if first.by_worker is None and queue.by_worker is None else by_worker,
            seen,
        )
    return first


def _added(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


def _queue(depth: Any, pending: Any, frames: Any, present: Any) -> Queue:
    """Decode four replies; an error, such as a missing permission, gives None."""
    queue = Queue()
    if isinstance(depth, int):
        queue = queue._replace(depth=depth)
    if isinstance(pending, list) and len(pending) == 4:
        consumers = {name.decode("utf-8", "replace"): int(count) for name, count in pending[3] or ()}
        queue = queue._replace(in_hand=int(pending[0]), by_worker=consumers)
    if isinstance(frames, list):
        queue = queue._replace(redelivered=sum(int(deliveries) > 1 for _, _, _, deliveries in frames))
    if isinstance(present, list):
        names = (name.decode("utf-8", "replace") for name in present[::2])
        queue = queue._replace(workers=dict(zip(names, (int(float(at)) for at in present[1::2]), strict=True)))
    return queue
