"""The sender of a lane: appends chunks to the shards' streams, one frame a shard, all in one round trip.

Chunks that arrive during one append are sent with the next; an idle system sends at once. While chunks wait for
outcomes, the sender first lets the requests that have arrived add theirs, so that a busy system sends full frames. At
the start of each session on a new connection it sends every chunk again that still waits, because Redis may have lost
it. It does the same if Redis loses its data on a working connection. Chunk ids make that safe.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import redis.exceptions

from api.queue.failure_line import FailureLine
from api.queue.outgoing import Outgoing
from api.queue.pending import Observer, Pending, PendingChunks, SentFrame
from protocol.backoff import Backoff
from protocol.clock import now_ms
from protocol.frames import encode_frame
from protocol.names import EPHEMERAL_TTL_S, FIELD, alive_key, reply_stream, shard_stream
from protocol.redis_wire import AsyncWire, Command, check
from protocol.settings import RedisSettings

_log = logging.getLogger(__name__)

FIRST_WAIT_S, LAST_WAIT_S = 0.02, 0.5
"""Waits between attempts to connect."""

HEARTBEAT_S = 0.5
"""How often this process's keys are renewed, and how soon it notices that Redis lost its data on a working
connection."""

GATHER_S = 0.002
"""How long chunks are gathered at most. A frame costs the api, Redis, a worker and its shard nearly the same with one
chunk or thirty: with 32 clients that write one key each, gathering saves a third of all CPU time."""

QUIET_TURNS = 2
"""Turns of the event loop without a new chunk after which gathering ends: sockets are read in one turn, and handlers
run in the next."""

SEND_REFUSED_AGAIN_S = 0.1
"""After this time a frame that a worker could not read is sent again, because another worker may read it."""

LAST_TRY_MS = 500
"""A refused chunk is not sent again within this time before its deadline: the next refusal might come too late."""


class Others(Protocol):
    """What the other lanes do for one that has failed."""

    def take_over(self) -> None:
        """Take the waiting chunks of this lane, if another lane works."""

    def can_take_over(self) -> bool:
        """Whether another lane works."""


class NoOthers:
    """For a lane that is the only one."""

    def take_over(self) -> None:
        """Do nothing: waiting chunks are sent again in the next session."""

    def can_take_over(self) -> bool:
        """False: there is no other lane."""
        return False


class Sender:
    """Sends chunks. `on_session` is called when a session begins: with True if there was one before.

    `others` take the chunks while there is no session. `silent_s` is how long Redis may be silent; 0 is the usual time.
    """

    def __init__(
        self,
        redis_settings: RedisSettings,
        process: str,
        pending: PendingChunks,
        outgoing: Outgoing,
        observer: Observer,
        on_session: Callable[[bool], None],
        *,
        others: Others | None = None,
        silent_s: float = 0.0,
    ) -> None:
        self.connected = False
        self.cluster = ""
        """The id of the cluster to which the frames are sent; empty until it is known."""
        self._redis_settings = redis_settings
        self._alive_key = alive_key(process)
        self._reply_stream = reply_stream(process)
        self._pending = pending
        self._outgoing = outgoing
        self._observer = observer
        self._on_session = on_session
        self._others = others or NoOthers()
        self._silent_s = silent_s
        self._lane = redis_settings.address.name
        self._failure_line = FailureLine(_log, "sending to redis failed", self._lane)
        self._had_session = False
        self._wake = asyncio.Event()
        self._added = 0
        self._heartbeat_due = False

    def add(self, chunks: Sequence[Pending]) -> None:
        """Queue chunks and send them soon."""
        for pending in chunks:
            self._outgoing.add(pending)
        self._added += len(chunks)
        self.wake()

    def wake(self) -> None:
        """Send what is queued."""
        self._wake.set()

    async def run(self) -> None:
        """Send, on one connection after another; never returns."""
        backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
        while True:
            wire = AsyncWire(self._redis_settings, name="api-send", identify=True, silent_s=self._silent_s)
            try:
                await self._session(wire)
            except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
                self._failure_line.log(error, worked=self.connected)
                if self.connected:
                    backoff.reset()
                self.connected = False
                self._others.take_over()
            finally:
                wire.close()
            await asyncio.sleep(backoff.next_s())

    async def _session(self, wire: AsyncWire) -> None:
        """Send on one connection until it breaks."""
        await self._begin(wire)
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
                    extra = {"lane": self._lane, "chunks": len(self._pending)}
                    _log.warning("redis lost its data, sending again", extra=extra)
                    await self._begin(wire)
        finally:
            timer.cancel()

    async def _gather(self) -> None:
        """While chunks wait for outcomes, let the requests that have arrived add theirs to the next frames."""
        if len(self._pending) <= len(self._outgoing):
            return
        end = time.monotonic() + GATHER_S
        added, quiet = self._added, 0
        while quiet < QUIET_TURNS and time.monotonic() < end:
            await asyncio.sleep(0)
            quiet = quiet + 1 if added == self._added else 0
            added = self._added

    def _ask_for_heartbeat(self) -> None:
        self._heartbeat_due = True
        self.wake()

    async def _begin(self, wire: AsyncWire) -> None:
        """Set this process's alive key, and queue every chunk that waits: Redis may have lost it."""
        check(await wire.run([("SET", self._alive_key, b"1", "EX", EPHEMERAL_TTL_S)]))
        had_session, self._had_session = self._had_session, True
        self.connected = True
        sent_again = self._outgoing.add_all_again()
        self._on_session(had_session)
        if len(self._outgoing):
            self._observer.resent(sent_again)
            self.wake()

    async def _flush(self, wire: AsyncWire, *, heartbeat: bool) -> bool:
        """Make one round trip with frames for each shard that has chunks queued. Returns False if the alive key is
        missing.
        """
        frames = self._outgoing.frames()
        deletions = self._outgoing.take_deletions()
        commands = [self._append(wire.server, frame, chunks) for frame, chunks in frames]
        commands += [("XDEL", stream, *entries) for stream, entries in deletions.items()]
        if heartbeat:
            # An idle process renews its reply stream, too: if it were created again, its ids could begin before the
            # last entry that was read.
            commands += [("EXPIRE", key, EPHEMERAL_TTL_S) for key in (self._reply_stream, self._alive_key)]
        if not commands:
            return True
        try:
            began = time.monotonic()
            replies = await wire.run(commands)
            if frames:
                self._observer.stage("append", time.monotonic() - began)
            refused = [
                self._appended(frame, chunks, reply) for (frame, chunks), reply in zip(frames, replies, strict=False)
            ]
            # Another lane takes the chunks that this one did not, and all new ones, until Redis accepts a command
            # again.
            check([error for error in refused if error is not None])
        except BaseException:
            self._outgoing.delete_again(deletions)
            raise
        if len(self._outgoing):
            self.wake()
        return not heartbeat or replies[-1] == 1

    def _append(self, server: str, frame: SentFrame, chunks: Sequence[Pending]) -> Command:
        traces: dict[int, str] = {}
        for position, pending in enumerate(chunks):
            pending.sends += 1
            trace = pending.gathering.caller.trace
            if trace is not None:
                traces[position] = trace
        data = encode_frame(
            self._reply_stream,
            traces,
            [pending.chunk for pending in chunks],
            server=server,
            sent_ms=now_ms(),
            cluster=self.cluster,
        )
        return ("XADD", shard_stream(frame.shard), "*", FIELD, data)

    def _appended(
        self, frame: SentFrame, chunks: Sequence[Pending], reply: Any
    ) -> redis.exceptions.ResponseError | None:
        """Handle Redis' answer to a frame. Returns why this lane is unusable, if another lane works."""
        if isinstance(reply, redis.exceptions.ResponseError):
            if str(reply).startswith("ERR "):
                # Redis did not understand it: bytes were lost on the way, and it is uncertain to which command this
                # answer belongs.
                raise reply
            return self._not_taken(chunks, reply)
        frame.entry_id = reply
        if frame.given_up:
            frame.abandon()
        return None

    def _not_taken(
        self, chunks: Sequence[Pending], error: redis.exceptions.ResponseError
    ) -> redis.exceptions.ResponseError | None:
        """Handle Redis' refusal of a frame: it is out of memory, read-only, or gives no permission."""
        extra = {"lane": self._lane, "error": str(error), "chunks": len(chunks)}
        _log.warning("redis refused a frame", extra=extra)
        elsewhere = self._others.can_take_over()
        for pending in chunks:
            # Redis does not hold this copy; it may hold an earlier one.
            pending.sends -= 1
            if not elsewhere:
                self._pending.not_taken(pending, "the queue refused the chunk")
        return error if elsewhere else None

    def frame_refused(self, shard: str, entry_id: bytes, reason: str) -> None:
        """A worker could not read a frame and has deleted it. It is sent again after a while, because another worker
        may read it.

        After that wait the reply to the append, which names the entry, has certainly arrived.
        """
        asyncio.get_running_loop().call_later(SEND_REFUSED_AGAIN_S, self._send_again, shard, entry_id, reason)

    def _send_again(self, shard: str, entry_id: bytes, reason: str) -> None:
        """Queue the chunks of a refused frame as if they had never been sent: no other worker was given it."""
        for pending in self._pending:
            frame = pending.frame
            # Entries on two lanes may have the same id.
            if frame is None or frame.outgoing is not self._outgoing:
                continue
            if frame.entry_id == entry_id and frame.shard == shard:
                pending.sends -= 1
                frame.waiting -= 1
                pending.frame = None
                if pending.outgoing is not self._outgoing or self._outgoing.has_queued(pending):
                    # It is queued already, here or on another lane, because this one has failed meanwhile.
                    continue
                if pending.chunk.deadline_ms < now_ms() + LAST_TRY_MS:
                    self._pending.not_taken(pending, reason)
                else:
                    self.add((pending,))
