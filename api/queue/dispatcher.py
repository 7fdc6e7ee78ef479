"""The way of chunks to the shards and of outcomes back: a batcher, a reader, and the clock that ends every wait.

The batcher appends what gathered while its last append was on its way, one frame a shard, all shards in one pipelined
round trip. An idle system sends at once. While chunks are under way it first lets the requests that are here already
add theirs, so that a busy system sends full frames. When Redis comes back
from anything, or has lost its data, every chunk that still waits is sent again: chunk ids make that safe.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import redis.exceptions

from api.ops.metrics import Metrics
from api.overload.memory_budgets import AnswerBudget
from api.overload.shard_limits import Admission
from api.queue.chunk_ids import ChunkIds
from api.queue.pending import Gathering, Pending, PendingChunks, SentFrame
from protocol.frames import (
    MAX_FRAME_BYTES,
    MAX_FRAME_KEYS,
    VERSION,
    Chunk,
    FrameError,
    Outcome,
    decode_reply,
    encode_frame,
)
from protocol.names import EPHEMERAL_TTL_S, FIELD, REFUSED, alive_key, reply_stream, shard_stream
from protocol.operations import Status
from protocol.redis_wire import AsyncWire, Command, check
from protocol.settings import BatchSettings, RedisSettings

_log = logging.getLogger(__name__)

READ_BLOCK_MS = 1000
READ_COUNT = 16
"""Replies in one read. A worker puts 4 MiB into one at most, unless a single answer is larger."""

MAX_READ_BYTES = 1024 * 1024
"""Replies that have been read take so much of Redis' memory at most before their deletion waits for nothing else."""

HEARTBEAT_S = 0.5
"""How often the alive key is renewed; also how soon it is noticed that Redis lost its data on a live connection."""

SWEEP_S = 0.1
GRACE_MS = 300
"""How long after its deadline a chunk is still waited for: workers give definite answers just before it."""

GATHER_S = 0.002
"""How long chunks are gathered at most. A frame costs the api, Redis, a worker and its shard nearly the same with one
chunk or thirty: with 32 clients that write one key each, gathering takes a third of all CPU time away."""

QUIET_TURNS = 2
"""Turns of the event loop without a new chunk that end it: sockets are read in one turn, handlers run in the next."""

FRAMES_AT_ONCE = 8
"""Frames for one shard in one round trip; the rest goes with the next."""

SEND_REFUSED_AGAIN_S = 0.1
"""After which a frame that a worker could not read is sent again, as another worker may read it."""
LAST_TRY_MS = 500
"""So long before its deadline a chunk is not sent again: the next refusal might come too late."""

NOT_WORKED = frozenset((Status.EXPIRED, Status.UNREACHABLE, Status.UNKNOWN))
"""Outcomes of chunks that tell nothing of how fast their shard works."""

_BACKOFF_S = (0.02, 0.5)


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


async def _back_off(tries: int) -> None:
    first, last = _BACKOFF_S
    delay = min(last, first * 2**tries)
    await asyncio.sleep(random.uniform(delay / 2, delay))  # noqa: S311 - jitter is no secret


def _entries(answer: Any) -> list[tuple[bytes, bytes, bytes]]:
    """The id, field and data of each entry of one stream, as `XREAD` answers them.

    Raises:
        redis.exceptions.InvalidResponse: bytes of the answer, or of the question, were lost on the way.
    """
    try:
        entries = [(entry_id, fields[0], fields[1]) for entry_id, fields in answer[0][1]]
    except (TypeError, ValueError, LookupError) as error:
        raise redis.exceptions.InvalidResponse(f"redis answered something else than it was asked: {error!r}") from error
    if not all(isinstance(part, bytes) for entry in entries for part in entry):
        raise redis.exceptions.InvalidResponse("redis answered something else than it was asked")
    return entries


class Dispatcher:
    """Sends chunks to shards and returns their outcomes; one for each api process."""

    def __init__(
        self, redis_settings: RedisSettings, settings: BatchSettings, shards: Sequence[str], metrics: Metrics
    ) -> None:
        self.process = f"{secrets.token_hex(8)}"
        self.ids = ChunkIds(shards)
        self.admission = Admission(
            shards,
            max_chunks=settings.max_inflight_chunks,
            max_bytes=settings.max_inflight_bytes,
            max_wait_s=settings.max_wait_s,
        )
        self._redis_settings = redis_settings
        self._metrics = metrics
        self._reply_stream = reply_stream(self.process)
        self._alive_key = alive_key(self.process)
        self._pending = PendingChunks()
        self._queues: dict[str, deque[Pending]] = {shard: deque() for shard in shards}
        self._deletions: defaultdict[str, list[bytes]] = defaultdict(list)
        self._read_bytes = 0
        self._wake = asyncio.Event()
        self._dispatched = 0
        self._heartbeat_due = False
        self._rewind = False
        self._sending = self._reading = False
        self._reader: AsyncWire | None = None
        self._has_begun = False
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether both connections to Redis work, as far as is known."""
        return self._sending and self._reading

    @property
    def waiting(self) -> int:
        """Chunks that wait for their outcome."""
        return len(self._pending)

    def start(self) -> asyncio.Future[None]:
        """Start the tasks. The future returned fails when one of them dies, which its owner must not survive."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        for run in (self._send_forever, self._read_forever, self._sweep_forever):
            task = loop.create_task(run(), name=f"dispatcher.{run.__name__}")
            task.add_done_callback(self._task_ended)
            self._tasks.append(task)
        return self._failed

    async def stop(self) -> None:
        """Cancel the tasks and leave nothing in Redis; whoever still waits is told that the outcome is unknown."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pending in self._pending:
            self._settle(pending.chunk.id, Status.UNKNOWN, "the api is shutting down")
        wire = AsyncWire(self._redis_settings, name="api-stop")
        with suppress(redis.exceptions.RedisError, OSError):
            await wire.run([("DEL", self._alive_key, self._reply_stream)])
        wire.close()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._failed is None or self._failed.done():
            return
        error = task.exception() or RuntimeError(f"{task.get_name()} ended")
        _log.error("a task of the dispatcher died", exc_info=error)
        self._failed.set_exception(error)

    async def dispatch(
        self,
        parts: Sequence[tuple[str, Chunk]],
        trace: str | None = None,
        user: str | None = None,
        share: AnswerBudget.Share | None = None,
    ) -> list[Outcome]:
        """Send `(shard, chunk)` parts and wait for the outcome of each; returned in order, never raising for one.

        The wait ends a little after the chunks' deadline, which they share: by then each has an outcome, if only
        `UNKNOWN`. The answers to reads count in `share`.

        Raises:
            Problem: 503, not admitted; nothing was sent.
        """
        self.admission.admit([(shard, len(chunk.body)) for shard, chunk in parts], user)
        ends = time.monotonic() + (parts[0][1].deadline_ms - now_ms()) / 1000
        gathering = Gathering(len(parts), asyncio.get_running_loop(), share, ends)
        for position, (shard, chunk) in enumerate(parts):
            pending = Pending(shard, chunk, gathering, position, trace, user)
            self._pending.add(pending)
            self._queues[shard].append(pending)
        self._dispatched += len(parts)
        self._wake.set()
        await gathering.future
        return [outcome for outcome in gathering.outcomes if outcome is not None]

    def _settle(self, chunk_id: bytes, status: int, payload: Any) -> None:
        self._settle_all((Outcome(chunk_id, status, payload),))

    def _settle_all(self, outcomes: Iterable[Outcome]) -> None:
        """Hand outcomes to the requests that wait for them."""
        counts: dict[tuple[str, int], int] = {}
        for outcome in outcomes:
            pending = self._pending.take(outcome.id)
            if pending is None:
                continue
            shard, status = pending.shard, outcome.status
            self.admission.release(shard, len(pending.chunk.body), pending.user, worked=status not in NOT_WORKED)
            pending.settle(outcome)
            counts[shard, status] = counts.get((shard, status), 0) + 1
        for (shard, status), count in counts.items():
            self._metrics.outcomes(shard, status, count)

    # ---- sending

    async def _send_forever(self) -> None:
        tries = 0
        while True:
            wire = AsyncWire(self._redis_settings, name="api-send")
            try:
                await self._send_session(wire)
            except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
                if self._sending:
                    _log.warning("sending to redis failed", extra={"error": str(error)})
                    tries = 0
                self._sending = False
            finally:
                wire.close()
            await _back_off(tries)
            tries += 1

    async def _send_session(self, wire: AsyncWire) -> None:
        """Send on one connection until it breaks. What waits at its beginning may have been lost, and goes again."""
        await self._begin(wire)
        self._sending = True
        loop = asyncio.get_running_loop()
        timer = loop.call_later(HEARTBEAT_S, self._ask_for_heartbeat)
        try:
            while True:
                await self._wake.wait()
                await self._gather()
                self._wake.clear()
                heartbeat, self._heartbeat_due = self._heartbeat_due, False
                if heartbeat:
                    timer = loop.call_later(HEARTBEAT_S, self._ask_for_heartbeat)
                if not await self._flush(wire, heartbeat=heartbeat):
                    _log.warning("redis lost its data, sending again what waits", extra={"chunks": self.waiting})
                    await self._begin(wire)
        finally:
            timer.cancel()

    async def _gather(self) -> None:
        """While chunks are under way, let the requests that have come already add theirs to the next frames."""
        if self.waiting <= sum(map(len, self._queues.values())):
            return
        end = time.monotonic() + GATHER_S
        dispatched, quiet = self._dispatched, 0
        while quiet < QUIET_TURNS and time.monotonic() < end:
            await asyncio.sleep(0)
            quiet = quiet + 1 if dispatched == self._dispatched else 0
            dispatched = self._dispatched

    def _ask_for_heartbeat(self) -> None:
        self._heartbeat_due = True
        self._wake.set()

    async def _begin(self, wire: AsyncWire) -> None:
        check(await wire.run([("SET", self._alive_key, b"1", "EX", EPHEMERAL_TTL_S)]))
        self._rewind = True
        again, self._has_begun = self._has_begun, True
        if again and self._reader is not None and self._reading:
            # It may be connected to a leader of before, which lets it read for ever what nobody writes there.
            self._reader.close()
        for queue in self._queues.values():
            queue.clear()
        for pending in self._pending:
            self._queues[pending.shard].append(pending)
        if self.waiting:
            self._metrics.resent(sum(1 for pending in self._pending if pending.sends))
            self._wake.set()

    async def _flush(self, wire: AsyncWire, *, heartbeat: bool) -> bool:
        """One round trip: a frame or more for each shard with something to send. False if the alive key is gone."""
        frames = [(frame, chunks) for shard in self._queues for frame, chunks in self._frames(shard)]
        deletions, self._deletions = self._deletions, defaultdict(list)
        self._read_bytes = 0
        commands = [self._append(frame, chunks) for frame, chunks in frames]
        commands += [("XDEL", stream, *entries) for stream, entries in deletions.items()]
        if heartbeat:
            commands.append(("EXPIRE", self._alive_key, EPHEMERAL_TTL_S))
        if not commands:
            return True
        try:
            replies = await wire.run(commands)
            for (frame, chunks), reply in zip(frames, replies, strict=False):
                self._appended(frame, chunks, reply)
        except BaseException:
            for stream, entries in deletions.items():
                self._deletions[stream] += entries
            raise
        return not heartbeat or replies[-1] == 1

    def _append(self, frame: SentFrame, chunks: Sequence[Pending]) -> Command:
        traces = {position: pending.trace for position, pending in enumerate(chunks) if pending.trace is not None}
        data = encode_frame(self._reply_stream, traces, [pending.chunk for pending in chunks])
        for pending in chunks:
            pending.sends += 1
        return ("XADD", shard_stream(frame.shard), "*", FIELD, data)

    def _appended(self, frame: SentFrame, chunks: Sequence[Pending], reply: Any) -> None:
        if isinstance(reply, redis.exceptions.ResponseError):
            if str(reply).startswith("ERR "):
                # It did not understand: bytes were lost on the way, and which command this is for is uncertain.
                raise reply
            self._refused(chunks, reply)
        else:
            frame.entry_id = reply
            if frame.given_up:
                self._abandon(frame)

    def _frames(self, shard: str) -> Iterator[tuple[SentFrame, list[Pending]]]:
        """Take from a shard's queue what makes frames, bounded in number, keys and bytes."""
        queue = self._queues[shard]
        for _ in range(FRAMES_AT_ONCE):
            chunks: list[Pending] = []
            keys = size = 0
            while queue:
                pending = queue[0]
                if pending.chunk.id not in self._pending:
                    queue.popleft()
                    continue
                keys += pending.chunk.keys
                size += len(pending.chunk.body)
                if chunks and (keys > MAX_FRAME_KEYS or size > MAX_FRAME_BYTES):
                    break
                chunks.append(queue.popleft())
            if not chunks:
                return
            frame = SentFrame(shard, len(chunks))
            for pending in chunks:
                if pending.frame is not None:
                    # What it was sent in before, if Redis still has it, is answered by this one.
                    self._abandon(pending.frame)
                pending.frame = frame
            yield frame, chunks
        if queue:
            self._wake.set()

    def _abandon(self, frame: SentFrame) -> None:
        """Let a frame be deleted whose chunks nobody waits for: it would take memory until a worker comes."""
        frame.given_up = True
        if frame.entry_id is not None:
            self._deletions[shard_stream(frame.shard)].append(frame.entry_id)
            frame.entry_id = None

    def _refused(self, chunks: Sequence[Pending], error: Exception) -> None:
        """Redis answered that it did not take a frame (out of memory, read-only, no permission)."""
        _log.warning("redis refused a frame", extra={"error": str(error), "chunks": len(chunks)})
        for pending in chunks:
            self._settle(pending.chunk.id, Status.UNREACHABLE, "the queue refused the chunk")

    # ---- reading

    async def _read_forever(self) -> None:
        tries = 0
        while True:
            wire = self._reader = AsyncWire(self._redis_settings, name="api-read", block_ms=READ_BLOCK_MS)
            try:
                check(await wire.run([("PING",)]))
                self._reading = True
                tries = 0
                last = b"0-0"
                while True:
                    if self._rewind:
                        # New data in Redis may count from an earlier time than the old did.
                        last, self._rewind = b"0-0", False
                    last = await self._read(wire, last)
            except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
                if self._reading:
                    _log.warning("reading from redis failed", extra={"error": str(error)})
                self._reading = False
            finally:
                wire.close()
            await _back_off(tries)
            tries += 1

    async def _read(self, wire: AsyncWire, last: bytes) -> bytes:
        """Wait for replies after the entry `last`; returns the id of the last entry read.

        They are deleted with what is sent next: in this round trip the answer to that would wake the process once more.
        """
        read: Command = ("XREAD", "COUNT", READ_COUNT, "BLOCK", READ_BLOCK_MS, "STREAMS", self._reply_stream, last)
        (answer,) = check(await wire.run([read]))
        if not answer:
            return last
        for entry_id, field, data in _entries(answer):
            last = entry_id
            self._deletions[self._reply_stream].append(entry_id)
            self._read_bytes += len(data)
            if field == REFUSED:
                self._take_refusal(data)
                continue
            try:
                reply = decode_reply(data)
            except FrameError as error:
                _log.error("dropped a reply", extra={"error": str(error)})
                continue
            self._settle_all(reply.outcomes)
        if self._read_bytes > MAX_READ_BYTES:
            self._wake.set()
        return last

    def _take_refusal(self, data: bytes) -> None:
        """A worker could not read a frame, and has deleted it unread: after a while another may take it."""
        try:
            shard, entry_id, version = data.split(b" ")
        except ValueError:
            _log.error("dropped a refusal", extra={"refusal": data[:100].decode("ascii", "replace")})
            return
        reason = f"the worker understands format version {version.decode('ascii', 'replace')}, not {VERSION}"
        # Also so that the reply to the append, which names the entry, is there before it is looked for.
        asyncio.get_running_loop().call_later(SEND_REFUSED_AGAIN_S, self._send_again, shard.decode(), entry_id, reason)

    def _send_again(self, shard: str, entry_id: bytes, reason: str) -> None:
        """Queue the chunks of a refused frame as if they had never been sent: nobody else has had it."""
        for pending in self._pending:
            frame = pending.frame
            if frame is not None and frame.entry_id == entry_id and frame.shard == shard:
                pending.sends -= 1
                frame.waiting -= 1
                pending.frame = None
                if pending.chunk.deadline_ms < now_ms() + LAST_TRY_MS:
                    # While it is known that nobody has it.
                    self._settle(pending.chunk.id, Status.UNREACHABLE, reason)
                else:
                    self._queues[shard].append(pending)
                    self._wake.set()

    # ---- deadlines

    async def _sweep_forever(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(SWEEP_S)
            self.admission.adapt(time.monotonic() - began)
            self._sweep(time.monotonic() - GRACE_MS / 1000)

    def _sweep(self, before: float) -> None:
        for pending in self._pending.overdue(before):
            if pending.sends:
                self._settle(pending.chunk.id, Status.UNKNOWN, "no answer before the deadline")
            else:
                self._settle(pending.chunk.id, Status.UNREACHABLE, "the queue was out of reach")
            frame = pending.frame
            if frame is not None and not frame.waiting:
                self._abandon(frame)
