"""Calls a shard with chunks until each has an outcome, or its time has passed while the shard was out of reach.

Only the shard checks deadlines, by its own clock. This process gives up a chunk by its monotonic clock, and only while
the shard is out of reach.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from protocol.backoff import Backoff
from protocol.frames import Chunk
from protocol.operations import READS, Status
from protocol.settings import WorkerSettings
from worker.errors import ShardUnreachableError
from worker.frames import Turn
from worker.shard import Shard

_log = logging.getLogger(__name__)

FIRST_WAIT_S, LAST_WAIT_S = 0.02, 0.5
"""Waits between attempts to reach a shard."""

ELECTION_S, ELECTION_WAIT_S = 3.0, 0.1
"""A shard with replicas may be electing a leader for this long, and is asked often in that time, because its clients
wait."""


class _Waits:
    """The waits between attempts to reach one shard, since the first one that failed."""

    def __init__(self, *, elects: bool) -> None:
        self._short_until = time.monotonic() + ELECTION_S if elects else None
        self._backoff = Backoff(FIRST_WAIT_S, ELECTION_WAIT_S if elects else LAST_WAIT_S)

    def next_s(self) -> float:
        """The seconds to wait before the next attempt."""
        if self._short_until is not None and time.monotonic() > self._short_until:
            self._short_until = None
            self._backoff = Backoff(ELECTION_WAIT_S, LAST_WAIT_S)
        return self._backoff.next_s()


def grouped(chunks: Sequence[Chunk], settings: WorkerSettings) -> Iterator[list[Chunk]]:
    """Group chunks into calls that are bounded in keys and bytes, so that no call keeps a shard busy for long."""
    call: list[Chunk] = []
    keys = size = 0
    for chunk in chunks:
        weight = len(chunk.body)
        if call and (keys + chunk.keys > settings.call_keys or size + weight > settings.call_bytes):
            yield call
            call, keys, size = [], 0, 0
        call.append(chunk)
        keys += chunk.keys
        size += weight
    if call:
        yield call


class Caller:
    """Makes the calls to one shard.

    `renew` renews the frame claims of a turn; `beat` is called before each attempt, `refused` with the payload of each
    refusal of a bucket.
    """

    def __init__(
        self,
        shard: Shard,
        settings: WorkerSettings,
        *,
        renew: Callable[[Turn], None],
        beat: Callable[[], None],
        refused: Callable[[Any], None],
    ) -> None:
        self._shard = shard
        self._renew = renew
        self._beat = beat
        self._refused = refused
        # A frame claim must outlast the call that is made under it.
        self._renew_after_s = max(0.0, settings.claim_idle_s - settings.call_timeout_s)

    def run(self, chunks: list[Chunk], turn: Turn) -> Iterator[bool]:
        """Call the shard with `chunks` until `turn` waits for none of them any more.

        Yields after each step, so that outcomes can be reported: True if the next step will take some time.
        """
        waits: _Waits | None = None
        maybe_sent = False
        reason = "not tried"
        while chunks:
            self._beat()
            over = () if self._shard.connected else self._over(chunks, turn)
            for chunk in over:
                turn.put(chunk, Status.UNREACHABLE, f"shard {self._shard.name}: {reason}", maybe_sent=maybe_sent)
            out_of_reach = False
            if not over:
                try:
                    chunks = self._try(chunks, turn, maybe_sent=maybe_sent)
                except ShardUnreachableError as error:
                    maybe_sent = maybe_sent or error.sent
                    reason = str(error)
                    out_of_reach = True
                    _log.warning("shard unreachable", extra={"shard": self._shard.name, "error": reason})
            yield out_of_reach or bool(over)
            if chunks:
                chunks = [chunk for chunk in chunks if turn.waits_for(chunk)]
            if out_of_reach and chunks:
                waits = waits or _Waits(elects=self._shard.has_replicas)
                nearest = min(turn.ends(chunk) for chunk in chunks)
                # A worker that is being stopped still tries, and must pause between tries, too.
                time.sleep(max(0.0, min(waits.next_s(), nearest - time.monotonic())))

    def _try(self, chunks: list[Chunk], turn: Turn, *, maybe_sent: bool) -> list[Chunk]:
        """Make one call and put its outcomes into `turn`; returns the chunks that must be sent again at once.

        Raises:
            ShardUnreachableError: the shard gave no answer, or has no leader for some of the chunks.
        """
        self._shard.connect()
        if time.monotonic() - turn.claimed_at > self._renew_after_s:
            self._renew(turn)
            chunks = [chunk for chunk in chunks if turn.waits_for(chunk)]
            if not chunks:
                return chunks
        crowded: list[tuple[Chunk, Any]] = []
        read_only = False
        for chunk, (status, payload) in zip(chunks, self._apply(chunks, turn), strict=True):
            if status == Status.NO_MEMORY and chunk.operation in READS:
                crowded.append((chunk, payload))
            elif status == Status.READ_ONLY and self._shard.has_replicas:
                read_only = True
            else:
                if status == Status.WRONG_BUCKET:
                    self._refused(payload)
                turn.put(chunk, status, payload, maybe_sent=maybe_sent)
        if len(crowded) == len(chunks):
            # The first read of a call may use all its memory: if even that one is refused, the shard has no memory
            # left.
            for chunk, payload in crowded:
                turn.put(chunk, Status.NO_MEMORY, payload, maybe_sent=maybe_sent)
        if read_only:
            self._shard.disconnect()
            raise ShardUnreachableError("no instance of the shard is writable", sent=False)
        return [chunk for chunk, _ in crowded]

    def _apply(self, chunks: Sequence[Chunk], turn: Turn) -> list[list[Any]]:
        """The shard's answers. The time of the call is recorded only for traced requests."""
        if turn.times is None:
            return self._shard.apply(chunks)
        began_ns = time.time_ns()
        answers = self._shard.apply(chunks)
        turn.times.called(chunks, began_ns)
        return answers

    def _over(self, chunks: Sequence[Chunk], turn: Turn) -> Sequence[Chunk]:
        """The chunks whose time has passed."""
        now = time.monotonic()
        return [chunk for chunk in chunks if turn.ends(chunk) <= now]
