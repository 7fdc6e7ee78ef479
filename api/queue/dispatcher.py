"""Sends the chunks of one api process to the shards and returns their outcomes: one object in front of its parts.

`lanes` send chunks and read replies, over one Redis or several; `deadlines` ends every wait; `pending` knows which
request waits for which chunk.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any, Protocol

import redis.exceptions

from api.overload.shard_limits import Admission
from api.queue.chunk_ids import ChunkIds
from api.queue.deadlines import Deadlines
from api.queue.lane_watch import LaneWatch
from api.queue.lanes import Lanes
from api.queue.pending import NOBODY, Caller, Done, Gathering, Observer, Pending, PendingChunks, resolving
from api.queue.turns import TURN_BYTES, TURNS_AT_ONCE, turns_of
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.names import alive_key, reply_stream
from protocol.operations import Status
from protocol.redis_wire import AsyncWire
from protocol.settings import BatchSettings, RedisSettings

_log = logging.getLogger(__name__)

TOO_LATE = "the deadline passed before the chunk was sent"


class _Part(Protocol):
    """A task of the dispatcher."""

    async def run(self) -> None:
        """Run; never returns."""


class Dispatcher:
    """Sends chunks to shards and returns their outcomes; each api process has one."""

    def __init__(
        self, redis_settings: RedisSettings, settings: BatchSettings, shards: Sequence[str], observer: Observer
    ) -> None:
        self.process = secrets.token_hex(8)
        self.ids = ChunkIds(shards)
        self.admission = Admission(
            shards,
            max_chunks=settings.max_inflight_chunks,
            max_bytes=settings.max_inflight_bytes,
            max_wait_s=settings.max_wait_s,
        )
        self._observer = observer
        self._shards = shards
        self._longest_s = settings.request_timeout_s
        self._pending = PendingChunks(self.admission, observer)
        self.lanes = Lanes(redis_settings, self.process, shards, self._pending, observer)
        self._deadlines = Deadlines(self._pending, self.admission.adapt)
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] | None = None
        self._stopping = False

    @property
    def connected(self) -> bool:
        """Whether some lane works, as far as is known."""
        return self.lanes.connected

    @property
    def waiting(self) -> int:
        """Chunks that wait for their outcome."""
        return len(self._pending)

    def tell_stamps(self, stamped: Callable[[Any], None]) -> None:
        """Have `stamped` called with the times that workers report of traced requests (`protocol.stamps`)."""
        self._pending.stamped = stamped

    def oldest_s(self) -> dict[str, float]:
        """How long the oldest chunk of each shard has waited for its outcome, in seconds."""
        return self._pending.oldest_s(self._shards)

    def use(self, shards: Sequence[str], placed: Sequence[str]) -> None:
        """Set the shards; requests have keys on those in `placed`.

        Chunks for a removed shard keep waiting: it may still answer them.
        """
        self._shards = shards
        self.admission.use(shards, placed)
        self.lanes.choice.use(shards)

    @property
    def cluster(self) -> str:
        """The id of the cluster to which this process belongs; empty until it is known."""
        return self.lanes.all[0].sender.cluster

    @cluster.setter
    def cluster(self, cluster: str) -> None:
        for lane in self.lanes.all:
            lane.sender.cluster = cluster

    def start(self) -> asyncio.Future[None]:
        """Start the tasks. The returned future fails when one of them dies; the process must then end."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        parts: list[_Part] = [self._deadlines]
        for lane in self.lanes.all:
            parts += (lane.sender, lane.reader)
        if self.lanes.several:
            parts.append(LaneWatch(self.lanes, self._pending, self.admission, self.ids))
        for part in parts:
            task = loop.create_task(part.run(), name=f"dispatcher.{type(part).__name__}")
            task.add_done_callback(self._task_ended)
            self._tasks.append(task)
        return self._failed

    async def stop(self) -> None:
        """Cancel the tasks and remove this process's keys from Redis; waiting requests get the outcomes that are
        known.
        """
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pending in self._pending:
            self._pending.give_up(pending, "the api is shutting down")
        await asyncio.gather(*(self._leave(lane.settings) for lane in self.lanes.all))

    async def _leave(self, lane: RedisSettings) -> None:
        """Remove this process's keys from one Redis."""
        wire = AsyncWire(lane, name="api-stop")
        with suppress(redis.exceptions.RedisError, OSError):
            await wire.run([("DEL", alive_key(self.process), reply_stream(self.process))])
        wire.close()

    def begin(self, parts: Sequence[tuple[str, Chunk]], caller: Caller, done: Done) -> None:
        """Send `(shard, chunk)` parts; `done` is called with the outcome of each, in order, now or later.

        That is shortly after the deadline, which the chunks share, at the latest: by then each chunk has an outcome,
        even if it is `UNKNOWN`. Chunks whose deadline has passed are not sent.

        Raises:
            OverloadedError: not admitted; nothing was sent, and `done` is not called.
        """
        ends = self._admit(parts, caller)
        if ends is None:
            done(_too_late(parts))
        else:
            self._add(parts, caller, ends, partial(self._settled, time.monotonic(), done))

    async def dispatch(self, parts: Sequence[tuple[str, Chunk]], caller: Caller = NOBODY) -> Sequence[Outcome]:
        """The same for parts of any size; large ones are sent in turns. Returns the outcomes, and raises no error for
        one.

        Raises:
            OverloadedError: not admitted; nothing was sent.
        """
        if sum(len(chunk.body) for _, chunk in parts) <= TURN_BYTES * TURNS_AT_ONCE:
            future: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
            self.begin(parts, caller, resolving(future))
            return await future
        ends = self._admit(parts, caller)
        if ends is None:
            return _too_late(parts)
        began = time.monotonic()
        outcomes = await self._send_in_turns(parts, caller, ends)
        self._observer.stage("shards", time.monotonic() - began)
        return outcomes

    def _admit(self, parts: Sequence[tuple[str, Chunk]], caller: Caller) -> float | None:
        """Count the parts; returns their deadline on the monotonic clock. None: it has passed, and nothing is
        counted.
        """
        left_s = (parts[0][1].deadline_ms - now_ms()) / 1000
        if left_s <= 0:
            return None
        self.admission.admit([(shard, len(chunk.body)) for shard, chunk in parts], caller.user)
        # The remaining time can exceed a request's only if the wall clock was set back since the request arrived.
        return time.monotonic() + min(left_s, self._longest_s)

    def _settled(self, began: float, done: Done, outcomes: Sequence[Outcome]) -> None:
        self._observer.stage("shards", time.monotonic() - began)
        done(outcomes)

    def _add(self, parts: Sequence[tuple[str, Chunk]], caller: Caller, ends: float, done: Done) -> None:
        gathering = Gathering(len(parts), done, caller, ends)
        chunks = [Pending(shard, chunk, gathering, position) for position, (shard, chunk) in enumerate(parts)]
        for pending in chunks:
            self._pending.add(pending)
        self.lanes.add(chunks)

    async def _send(self, parts: Sequence[tuple[str, Chunk]], caller: Caller, ends: float) -> Sequence[Outcome]:
        future: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        self._add(parts, caller, ends, resolving(future))
        return await future

    async def _send_in_turns(self, parts: Sequence[tuple[str, Chunk]], caller: Caller, ends: float) -> list[Outcome]:
        """Send a large batch: to all shards at the same time, and to each a few turns at a time.

        When half of the time is over, the rest is sent at once: otherwise the batch could be too late.
        """
        hurries = (time.monotonic() + ends) / 2
        outcomes: dict[int, Outcome] = {}
        left = set(range(len(parts)))

        async def send(turns: Iterator[Sequence[int]]) -> None:
            for next_turn in turns:
                now = time.monotonic()
                if self._stopping or now >= ends:
                    return
                turn = next_turn if now < hurries else [*next_turn, *chain.from_iterable(turns)]
                left.difference_update(turn)
                sent = await self._send([parts[position] for position in turn], caller, ends)
                outcomes.update(zip(turn, sent, strict=True))

        by_shard = map(iter, turns_of(parts).values())
        tasks = [asyncio.ensure_future(send(turns)) for turns in by_shard for _ in range(TURNS_AT_ONCE)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            for position in left:
                shard, chunk = parts[position]
                self.admission.release(shard, len(chunk.body), caller.user, worked=False)
        for position in left:
            outcomes[position] = self._never_sent(parts[position][1])
        return [outcomes[position] for position in range(len(parts))]

    def _never_sent(self, chunk: Chunk) -> Outcome:
        if self._stopping:
            return Outcome(chunk.id, Status.UNREACHABLE, "the api is shutting down")
        return Outcome(chunk.id, Status.EXPIRED, TOO_LATE)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._failed is None or self._failed.done():
            return
        error = task.exception() or RuntimeError(f"{task.get_name()} ended")
        _log.error("a task of the dispatcher has failed", exc_info=error)
        self._failed.set_exception(error)


def _too_late(parts: Sequence[tuple[str, Chunk]]) -> list[Outcome]:
    return [Outcome(chunk.id, Status.EXPIRED, TOO_LATE) for _, chunk in parts]
