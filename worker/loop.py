"""The loop of one shard: read frames, call the shard, answer; again and again until told to stop."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import redis

from protocol.frames import Chunk, ForeignFrameError, Frame, FrameError, Outcome, decode_frame, encode_reply
from protocol.names import REPLY_PREFIX
from protocol.operations import Operation, Status
from protocol.settings import WorkerSettings
from worker.errors import ShardUnreachableError
from worker.shard import Shard
from worker.standby import Standby
from worker.stream import Answers, Entry, ShardStream

_log = logging.getLogger(__name__)

GIVE_UP_MS = 250
"""How long before its deadline a chunk is given up, so that the answer still finds somebody waiting for it."""

MAX_REPLY_BYTES = 4 * 1024 * 1024
"""Payload bytes in one reply entry, unless a single outcome is larger than that."""

FOREIGN_FRAME_AGE_S = 60.0
"""A frame of a format version that nobody has taken for so long is dropped; its deadline is long past."""

MAX_HELD_BYTES = 8 * 1024 * 1024
"""Payload bytes that a worker holds before it sends what it has, be the rest of the turn done or not."""

FINAL = frozenset((Status.OK, Status.EXPIRED, Status.UNREACHABLE, Status.UNKNOWN))
"""Outcomes that a chunk keeps when its frame is taken over: what was applied is recorded, and for the others it is too
late by then. What a shard refuses for another reason leaves no record, and it may accept the chunk the next time: that
is told together with the frame's deletion only."""

_BACKOFF_S = (0.02, 0.5)
_TAKE_OVER_EVERY_S = 0.5
_FORGET_EVERY_S = 30.0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Backoff:
    """Waits that double from the first to the last of `_BACKOFF_S`, each with full jitter."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._tries = 0

    def wait(self, at_most_s: float = float("inf")) -> None:
        """Wait for the next turn, or until the process is told to stop."""
        first, last = _BACKOFF_S
        delay = min(last, first * 2**self._tries, max(at_most_s, 0))
        self._tries += 1
        self._stop.wait(random.uniform(delay / 2, delay))  # noqa: S311 - jitter is no secret

    def reset(self) -> None:
        """Start from the first wait again."""
        self._tries = 0


class ShardLoop(threading.Thread):
    """The thread that works one shard's stream."""

    def __init__(self, shard: Shard, stream: ShardStream, standby: Standby, settings: WorkerSettings) -> None:
        super().__init__(name=f"shard-{shard.name}", daemon=True)
        self.failure: BaseException | None = None
        self.last_turn = time.monotonic()
        self._shard = shard
        self._stream = stream
        self._standby = standby
        self._settings = settings
        self._stopping = threading.Event()
        self._answers = Answers()
        self._next_take_over = self._next_forget = self._kept_at = 0.0

    def stop(self) -> None:
        """Ask the loop to finish what it has in hand and end."""
        self._stopping.set()

    def run(self) -> None:
        """Work until asked to stop. What ends the loop otherwise is kept in `failure` for the owner to see."""
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - the owner looks at it and ends the process
            self.failure = error

    def _run(self) -> None:
        backoff = Backoff(self._stopping)
        connected = False
        while not self._stopping.is_set():
            self.last_turn = time.monotonic()
            try:
                if not connected:
                    self._stream.ensure_group()
                    connected = True
                self._turn()
                backoff.reset()
            except redis.RedisError as error:
                connected = False
                self._redis_failed(error)
                backoff.wait()
        self._leave()

    def _redis_failed(self, error: redis.RedisError) -> None:
        """Go on with another connection, also after an error that this one has survived.

        One to a leader that has become a replica would be refused for ever, and one that has lost bytes on its way
        may have answers in it that belong to nothing.
        """
        _log.warning("redis failed", extra={"shard": self._shard.name, "error": str(error)})
        self._stream.disconnect()

    def _leave(self) -> None:
        """Answer what is in hand, trying again for a while, and take this consumer out of the group."""
        backoff = Backoff(threading.Event())
        give_up = time.monotonic() + self._settings.worker_drain_timeout_s / 2
        while True:
            try:
                self._stream.answer(self._answers)
                self._answers = Answers()
                self._stream.leave()
                break
            except redis.RedisError as error:
                if time.monotonic() > give_up:
                    _log.warning("left without answering", extra={"shard": self._shard.name, "error": str(error)})
                    break
                self._stream.disconnect()
                backoff.wait()
        self._shard.disconnect()

    def _turn(self) -> None:
        """Answer the last turn's frames, read new ones in the same round trip, and work them.

        Answers stay good whatever happens to Redis in between, so they are kept until a round trip has succeeded.
        """
        now = time.monotonic()
        tidy = now >= self._next_take_over
        if self._standby.reads():
            entries = self._stream.exchange(self._answers, block=not tidy)
            self._answers = Answers()
            if entries:
                self._answers = self._work(entries, redelivered=False)
        else:
            self._look()
        if tidy:
            self._next_take_over = now + _TAKE_OVER_EVERY_S
            self._tidy(now)

    def _look(self) -> None:
        """Work what is there, answer it, and wait a while: another worker reads this stream, if it lives."""
        entries, waited_ms = self._stream.look(self._answers)
        self._answers = Answers()
        self._standby.looked(waited_ms if entries else None)
        if entries:
            self._answers = self._work(entries, redelivered=False)
            self._stream.answer(self._answers)
            self._answers = Answers()
        if not self._standby.reads():
            self._stopping.wait(self._standby.pause_s())

    def _tidy(self, now: float) -> None:
        """Say that this worker is there, take over what dead ones left, and forget them."""
        self._stream.answer(self._answers)
        self._answers = Answers()
        self._standby.attended(self._stream.attend())
        if taken := self._stream.take_over():
            _log.info("took frames over", extra={"shard": self._shard.name, "frames": len(taken)})
            self._answers = self._work(taken, redelivered=True)
        if now >= self._next_forget:
            self._next_forget = now + _FORGET_EVERY_S
            self._stream.forget_dead_consumers()

    def _work(self, entries: Sequence[Entry], *, redelivered: bool) -> Answers:
        frames, done, refused = self._decode_all(entries, redelivered=redelivered)
        replies: dict[str, list[Outcome]] = defaultdict(list)
        live, late, waiting = _sorted(frames)
        self._kept_at = time.monotonic()
        if late:
            maybe_sent = redelivered or not self._keep(done)
            for stream, chunk in late:
                replies[stream].append(_too_late(chunk, maybe_sent=maybe_sent))
        held = 0
        told = True
        for call in self._calls(live):
            # What is known is not held back by what may take as long again: a turn can be dozens of calls. But none of
            # them has to wait for Redis more than once.
            told = told and self._answer_early(replies)
            held = 0 if told else held
            for outcomes in self._apply(call, done, redelivered=redelivered):
                for outcome in outcomes:
                    for stream in waiting[outcome.id]:
                        replies[stream].append(outcome)
                    if outcome.status != Status.OK:
                        self._log_failure(outcome, frames)
                held += sum(len(outcome.payload) for outcome in outcomes if isinstance(outcome.payload, bytes))
                if not outcomes or held > MAX_HELD_BYTES:
                    self._answer_early(replies)
                    held = 0
        return Answers(_encoded(replies), done, refused)

    def _keep(self, entries: Sequence[bytes]) -> bool:
        """Keep frames from being taken over for another while; False if a peer may have worked on them already.

        It may have while this worker was frozen or waiting for its shard: then nobody here can tell what became of
        their chunks.
        """
        self._kept_at = time.monotonic()
        try:
            return self._stream.keep(entries)
        except redis.RedisError as error:
            self._redis_failed(error)
            return False

    def _answer_early(self, replies: dict[str, list[Outcome]]) -> bool:
        """Send outcomes that are final while others are not known; False where Redis fails.

        Who waits for them may have an earlier deadline. The rest stays in `replies`.
        """
        final = {
            stream: [outcome for outcome in outcomes if outcome.status in FINAL] for stream, outcomes in replies.items()
        }
        final = {stream: outcomes for stream, outcomes in final.items() if outcomes}
        if not final:
            return True
        try:
            self._stream.answer(Answers(_encoded(final)))
        except redis.RedisError as error:
            self._redis_failed(error)
            return False
        for stream in final:
            replies[stream] = [outcome for outcome in replies[stream] if outcome.status not in FINAL]
            if not replies[stream]:
                del replies[stream]
        return True

    def _decode_all(
        self, entries: Sequence[Entry], *, redelivered: bool
    ) -> tuple[list[Frame], list[bytes], list[tuple[str, bytes]]]:
        """The frames of `entries`, the ids of those entries that are to be deleted with this turn's answers, and
        which of these are refused, with the reply stream of each.
        """
        frames: list[Frame] = []
        done: list[bytes] = []
        refused: list[tuple[str, bytes]] = []
        for entry in entries:
            if entry.data is None:
                done.append(entry.id)
                continue
            try:
                frames.append(decode_frame(entry.data))
            except FrameError as error:
                stream = None if redelivered else _sender(error)
                if stream is not None:
                    refused.append((stream, entry.id))
                if self._is_done(entry, error, refused=stream is not None):
                    done.append(entry.id)
            else:
                done.append(entry.id)
        return frames, done, refused

    def _is_done(self, entry: Entry, error: FrameError, *, refused: bool) -> bool:
        """Whether an entry that cannot be read is to be deleted: when its sender is told, or it is too old.

        A sender is told only of an entry that nobody else has had. Any other stays pending and goes round: whoever had
        it before may have read it, and a worker of another version may read it now.
        """
        drop = refused or self._stream.age_s(entry.id) > FOREIGN_FRAME_AGE_S
        _log.error(
            "refused a frame",
            extra={"shard": self._shard.name, "entry": entry.id.decode(), "error": str(error), "dropped": drop},
        )
        return drop

    def _calls(self, chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
        """Group chunks into calls that are bounded in keys and bytes, so that no call holds a shard for long."""
        call: list[Chunk] = []
        keys = size = 0
        for chunk in chunks:
            weight = len(chunk.body)
            if call and (keys + chunk.keys > self._settings.call_keys or size + weight > self._settings.call_bytes):
                yield call
                call, keys, size = [], 0, 0
            call.append(chunk)
            keys += chunk.keys
            size += weight
        if call:
            yield call

    def _apply(self, chunks: list[Chunk], entries: Sequence[bytes], *, redelivered: bool) -> Iterator[list[Outcome]]:
        """Call the shard until every chunk has an outcome or has come too near to its deadline.

        Yields outcomes as they come, and an empty list each time that the rest will take a while. `entries` are the
        frames in hand.
        """
        backoff = Backoff(self._stopping)
        maybe_sent = redelivered
        reason = "not tried"
        while chunks:
            self.last_turn = time.monotonic()
            if self.last_turn - self._kept_at > self._settings.claim_idle_s / 2:
                # A peer would take over what is only slow, and do it all again.
                maybe_sent = maybe_sent or not self._keep(entries)
            last_call = _now_ms() + GIVE_UP_MS
            late = [chunk for chunk in chunks if chunk.deadline_ms <= last_call]
            if late:
                maybe_sent = maybe_sent or not self._keep(entries)
                yield [self._give_up(chunk, reason, maybe_sent=maybe_sent) for chunk in late]
                chunks = [chunk for chunk in chunks if chunk.deadline_ms > last_call]
                if chunks:
                    yield []
                continue
            try:
                answers = self._shard.apply(chunks)
            except ShardUnreachableError as error:
                maybe_sent = maybe_sent or error.sent or not self._keep(entries)
                reason = str(error)
                _log.warning("shard unreachable", extra={"shard": self._shard.name, "error": reason})
            else:
                outcomes, crowded, read_only = self._classify(chunks, answers)
                if outcomes:
                    yield outcomes
                chunks = crowded + read_only
                if crowded:
                    continue
                if chunks:
                    reason = "no instance of the shard is writable"
                    self._shard.disconnect()
                else:
                    return
            yield []
            nearest = min(chunk.deadline_ms for chunk in chunks)
            backoff.wait((nearest - _now_ms() - GIVE_UP_MS) / 1000)

    def _classify(
        self, chunks: Sequence[Chunk], answers: Sequence[tuple[int, Any]]
    ) -> tuple[list[Outcome], list[Chunk], list[Chunk]]:
        """Outcomes; reads to call again at once, as others took the room of this call; what waits for a leader."""
        outcomes: list[Outcome] = []
        crowded: list[Chunk] = []
        read_only: list[Chunk] = []
        for chunk, (status, payload) in zip(chunks, answers, strict=True):
            if status == Status.READ_ONLY and self._shard.has_replicas:
                read_only.append(chunk)
            elif status == Status.NO_MEMORY and chunk.operation == Operation.READ:
                crowded.append(chunk)
            else:
                outcomes.append(Outcome(chunk.id, status, payload))
        if len(crowded) == len(chunks):
            # The first read of a call has all its room: where even that is refused, the shard has no memory left.
            outcomes = [
                Outcome(chunk.id, status, payload) for chunk, (status, payload) in zip(chunks, answers, strict=True)
            ]
            crowded = []
        return outcomes, crowded, read_only

    def _give_up(self, chunk: Chunk, reason: str, *, maybe_sent: bool) -> Outcome:
        applies = chunk.operation != Operation.READ
        status = Status.UNKNOWN if maybe_sent and applies else Status.UNREACHABLE
        return Outcome(chunk.id, status, f"shard {self._shard.name}: {reason}")

    def _log_failure(self, outcome: Outcome, frames: Sequence[Frame]) -> None:
        trace = next(
            (
                trace
                for frame in frames
                for position, trace in frame.traces.items()
                if frame.chunks[position].id == outcome.id
            ),
            None,
        )
        _log.warning(
            "chunk not applied" if outcome.status != Status.UNKNOWN else "outcome of a chunk unknown",
            extra={
                "shard": self._shard.name,
                "chunk": outcome.id.hex(),
                "status": int(outcome.status),
                "reason": outcome.text,
                "traceparent": trace,
            },
        )


def _sender(error: FrameError) -> str | None:
    """The reply stream of a frame of another version."""
    stream = error.reply_stream if isinstance(error, ForeignFrameError) else None
    return stream if stream is not None and stream.startswith(REPLY_PREFIX) else None


def _sorted(frames: Sequence[Frame]) -> tuple[list[Chunk], list[tuple[str, Chunk]], dict[bytes, list[str]]]:
    """Chunks to hand to the shard, each once; those past their deadline; and who waits for the former, by chunk id."""
    live: list[Chunk] = []
    late: list[tuple[str, Chunk]] = []
    waiting: dict[bytes, list[str]] = defaultdict(list)
    now = _now_ms()
    for frame in frames:
        for chunk in frame.chunks:
            if chunk.deadline_ms <= now:
                late.append((frame.reply_stream, chunk))
                continue
            if chunk.id not in waiting:
                live.append(chunk)
            waiting[chunk.id].append(frame.reply_stream)
    return live, late, waiting


def _too_late(chunk: Chunk, *, maybe_sent: bool) -> Outcome:
    """The outcome of a chunk that was late when it came; whoever had it before may have applied it in time."""
    unknown = maybe_sent and chunk.operation != Operation.READ
    return Outcome(chunk.id, Status.UNKNOWN if unknown else Status.EXPIRED, "the deadline passed in the queue")


def _encoded(replies: Mapping[str, Sequence[Outcome]]) -> list[tuple[str, bytes]]:
    return [(stream, encode_reply(part)) for stream, outcomes in replies.items() for part in _parts(outcomes)]


def _parts(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    part: list[Outcome] = []
    size = 0
    for outcome in outcomes:
        weight = len(outcome.payload) if isinstance(outcome.payload, bytes) else 0
        if part and size + weight > MAX_REPLY_BYTES:
            yield part
            part, size = [], 0
        part.append(outcome)
        size += weight
    if part:
        yield part
