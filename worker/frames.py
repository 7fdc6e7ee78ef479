"""The frames that a worker has in hand, from their delivery until their report, and the rules for reports.

Several copies of a chunk may exist: its frame was redelivered, an earlier call may still reach the shard, or the api
has sent the chunk again. These rules keep every report true, whatever happens to the other copies:

- `OK` and `WRONG_BUCKET` are final, because the shard has them on record. Outcomes of reads have no effect. All of
  these are reported at once.
- That the shard refused a change, or that a change was never sent, is reported only together with the deletion of its
  frame, and only if no other worker was ever given the frame, no call with the chunk may still arrive at the shard, and
  Redis is the server that delivered it. (The api also requires that it sent the chunk once.)
- Everything else is `UNKNOWN`.
- Of a frame that another worker has taken over, only outcomes on record are reported; the other worker reports the
  rest.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from protocol.frames import (
    Chunk,
    ForeignFrameError,
    Frame,
    FrameError,
    OtherClusterError,
    Outcome,
    check_cluster,
    decode_frame,
)
from protocol.names import REPLY_PREFIX
from protocol.operations import CHANGES, ON_RECORD, Status
from worker.group import Entry
from worker.replies import encoded, size_of
from worker.stream import Delivery, Report
from worker.tracing import Times, has_sampled

_log = logging.getLogger(__name__)

GIVE_UP_MS = 250
"""A chunk is given up this long before its time ends, so that the reply arrives while its request still waits."""

FOREIGN_FRAME_AGE_MS = 60_000
"""A frame of an unknown format version is deleted if no worker has read it for this long; its deadline has passed long
ago."""

OTHER_CLUSTER_LINE_EVERY_S = 10.0
"""Frames of another cluster may arrive as often as its clients send: there is one log line in this time, not one for
each frame."""


class _InHand:
    """One frame: its final outcomes, those that are final only if no other worker was given it, and the other
    chunks.
    """

    __slots__ = ("entry_id", "final", "frame", "missing", "refusals")

    def __init__(self, entry_id: bytes, frame: Frame) -> None:
        self.entry_id = entry_id
        self.frame = frame
        self.missing = len(frame.chunks)
        self.final: list[Outcome] = []
        self.refusals: list[Outcome] = []


class _Mixed:
    """When this process last logged that two clusters use one Redis, on the monotonic clock."""

    logged_at: ClassVar[float] = -math.inf


class Turn:
    """The frames of one delivery. At `claimed_at` or later this worker got or renewed its frame claims.

    `cluster` is the id of this worker's cluster.
    """

    def __init__(self, shard: str, delivery: Delivery, cluster: str = "") -> None:
        self.claimed_at = delivery.asked_at
        self.server = delivery.server
        self.has_news = False
        """Whether some outcomes are not reported yet."""
        self.unreported_bytes = 0
        """Payload bytes of outcomes that are not reported yet."""
        self._shard = shard
        self._cluster = cluster
        self._delivery = delivery
        self._given_at = time.monotonic()
        self._sole = not delivery.redelivered
        self._frames: dict[bytes, _InHand] = {}
        self._waiting: dict[bytes, tuple[_InHand, ...]] = {}
        self._chunks: list[Chunk] = []
        self._done: list[bytes] = []
        self._refused: dict[bytes, tuple[str, str]] = {}
        self._left_over: dict[str, list[Outcome]] = {}
        self.times: Times | None = None
        """The times of traced requests' chunks, if there are any."""

        for entry in delivery.entries:
            self._add(entry, delivery)

    @property
    def chunks(self) -> Sequence[Chunk]:
        """The chunks of all frames, each once."""
        return self._chunks

    @property
    def entry_ids(self) -> Sequence[bytes]:
        """The frames in hand that are not reported yet."""
        return list(self._frames)

    def waits_for(self, chunk: Chunk) -> bool:
        """Whether a frame in hand has no outcome for this chunk yet."""
        return chunk.id in self._waiting

    def ends(self, chunk: Chunk) -> float:
        """When a chunk must be given up, on this process's monotonic clock.

        It follows from the time that the chunk had left when it was sent, by its api's clock, and from its time in the
        stream, by Redis' clock. So differences between these clocks and this machine's clock do not matter.
        """
        in_hand = self._waiting[chunk.id][0]
        waited_ms = max(0, self._delivery.waited_ms(in_hand.entry_id))
        return self._given_at + (chunk.deadline_ms - in_hand.frame.sent_ms - waited_ms - GIVE_UP_MS) / 1000

    def put(self, chunk: Chunk, status: int, payload: Any, *, maybe_sent: bool) -> None:
        """Take the outcome of a chunk. `maybe_sent`: an earlier call with it has reached the shard, or still may."""
        outcome = Outcome(chunk.id, status, payload)
        refused = False
        if status not in ON_RECORD and chunk.operation in CHANGES:
            refused = self._sole and not maybe_sent
            if not refused:
                outcome = outcome._replace(status=Status.UNKNOWN)
        for in_hand in self._waiting.pop(chunk.id, ()):
            in_hand.missing -= 1
            (in_hand.refusals if refused else in_hand.final).append(outcome)
            if status not in ON_RECORD:
                self._log_failure(outcome, in_hand.frame)
        self.has_news = True
        self.unreported_bytes += size_of(outcome)

    def report(self) -> Report:
        """What may be reported now, and which frames are deleted with it."""
        outcomes = {stream: list(left) for stream, left in self._left_over.items()}
        done, sole = [*self._done, *self._refused], [*self._refused]
        for entry_id, in_hand in self._frames.items():
            known = in_hand.final
            if not in_hand.missing:
                done.append(entry_id)
                if in_hand.refusals:
                    sole.append(entry_id)
                    known = known + in_hand.refusals
            if known:
                stream = in_hand.frame.reply_stream
                if stream in outcomes:
                    outcomes[stream] += known
                else:
                    outcomes[stream] = [*known]
        if self.times is not None:
            finished = [in_hand.frame for in_hand in self._frames.values() if not in_hand.missing]
            for stream, stamps in self.times.outcomes(finished).items():
                outcomes.setdefault(stream, []).append(stamps)
        refused = [(stream, entry_id, cluster) for entry_id, (stream, cluster) in self._refused.items()]
        return Report(encoded(outcomes), done, refused, sole, self.server)

    def reported(self) -> None:
        """Forget the report that `report` returned: Redis has it."""
        self._done.clear()
        self._refused.clear()
        self._left_over.clear()
        self._frames = {entry_id: in_hand for entry_id, in_hand in self._frames.items() if in_hand.missing}
        for in_hand in self._frames.values():
            in_hand.final.clear()
        self.has_news = False
        self.unreported_bytes = 0

    def lose(self, entry_ids: Iterable[bytes]) -> None:
        """Drop frames that another worker has taken over. It reports on them; outcomes on record may be reported here,
        too.
        """
        lost = set(entry_ids)
        for entry_id in lost:
            self._refused.pop(entry_id, None)
            in_hand = self._frames.pop(entry_id, None)
            if in_hand is not None:
                stream = in_hand.frame.reply_stream
                on_record = [outcome for outcome in in_hand.final if outcome.status in ON_RECORD]
                self._left_over.setdefault(stream, []).extend(on_record)
        self._stop_waiting(lost)
        _log.warning(
            "dropped frames that other workers have taken over", extra={"shard": self._shard, "frames": len(lost)}
        )

    def put_back(self, least_bytes: int) -> int:
        """Drop frames with so many bytes of answers that are not reported: Redis may be out of reach for long. They
        stay pending and are redelivered, and the answers are made again. Returns how many there were.
        """
        large = {
            entry_id for entry_id, in_hand in self._frames.items() if sum(map(size_of, in_hand.final)) >= least_bytes
        }
        for entry_id in large:
            del self._frames[entry_id]
        if large:
            self._stop_waiting(large)
            _log.warning("dropped large answers", extra={"shard": self._shard, "frames": len(large)})
        return len(large)

    def _stop_waiting(self, entry_ids: AbstractSet[bytes]) -> None:
        self._waiting = {
            chunk_id: kept
            for chunk_id, every in self._waiting.items()
            if (kept := tuple(in_hand for in_hand in every if in_hand.entry_id not in entry_ids))
        }

    def _add(self, entry: Entry, delivery: Delivery) -> None:
        if entry.data is None:
            self._done.append(entry.id)
            return
        try:
            frame = decode_frame(entry.data)
            check_cluster(frame, self._cluster)
        except FrameError as error:
            self._add_unreadable(entry, delivery, error)
            return
        if frame.server != delivery.server:
            # A frame from before a failover: the former server may have its report, and the api has sent the waiting
            # chunks again.
            _log.info("deleted a frame of another server", extra={"shard": self._shard, "entry": entry.id.decode()})
            self._done.append(entry.id)
            return
        in_hand = self._frames[entry.id] = _InHand(entry.id, frame)
        if frame.traces and self.times is None and has_sampled(frame):
            self.times = Times(self._shard)
        waiting, alone = self._waiting, (in_hand,)
        for chunk in frame.chunks:
            chunk_id = chunk.id
            if chunk_id in waiting:
                waiting[chunk_id] += alone
            else:
                waiting[chunk_id] = alone
                self._chunks.append(chunk)

    def _add_unreadable(self, entry: Entry, delivery: Delivery, error: FrameError) -> None:
        """Decide about a frame that this worker cannot read, or that is for another cluster.

        It is refused to its sender only if no other worker was given it. Otherwise it stays pending for other workers:
        the one that had it before may have read it, or one of another version or cluster may read it now. When it is
        too old, it is deleted.
        """
        sender = None if delivery.redelivered else _sender(error)
        too_old = delivery.waited_ms(entry.id) > FOREIGN_FRAME_AGE_MS
        is_others = isinstance(error, OtherClusterError)
        if sender is not None:
            self._refused[entry.id] = (sender, self._cluster if is_others else "")
        elif too_old:
            self._done.append(entry.id)
        if is_others:
            if time.monotonic() - _Mixed.logged_at < OTHER_CLUSTER_LINE_EVERY_S:
                return
            _Mixed.logged_at = time.monotonic()
        _log.error(
            "refused a frame",
            extra={
                "shard": self._shard,
                "entry": entry.id.decode(),
                "error": str(error),
                "dropped": sender is not None or too_old,
            },
        )

    def _log_failure(self, outcome: Outcome, frame: Frame) -> None:
        position = next(position for position, chunk in enumerate(frame.chunks) if chunk.id == outcome.id)
        _log.warning(
            "outcome of a chunk unknown" if outcome.status == Status.UNKNOWN else "chunk not applied",
            extra={
                "shard": self._shard,
                "chunk": outcome.id.hex(),
                "status": int(outcome.status),
                "reason": outcome.text,
                "traceparent": frame.traces.get(position),
            },
        )


def _sender(error: FrameError) -> str | None:
    """The reply stream of a frame of another version or cluster."""
    stream = error.reply_stream if isinstance(error, (ForeignFrameError, OtherClusterError)) else None
    return stream if stream is not None and stream.startswith(REPLY_PREFIX) else None
