"""Claims on frames: takes over those that dead workers left, and renews this worker's own."""

from __future__ import annotations

import time
from collections.abc import Sequence

from protocol.names import GROUP, may_be_of_one_cluster
from protocol.redis_wire import Command, check
from worker.group import NONSENSE, Entry, Group, clock_ms, entries_of, not_understood, script, some_of
from worker.stream import Delivery

_LOOK_AHEAD = 10
"""Pending frames looked at in one step of taking over, as a multiple of those that may be claimed in it."""

OTHER_CLUSTER_IDLE_MS = 60_000
"""Pending frames of another cluster's workers are left to their peers for so long; then they are old enough to drop."""

_FIRST = b"0-0"


class TakeOver:
    """What one consumer does about the pending frames of its group."""

    def __init__(self, group: Group, *, count: int, claim_idle_ms: int) -> None:
        self._group = group
        self._count = count
        self._claim_idle_ms = claim_idle_ms
        self._cursor = _FIRST
        self._renew = script("renew_claim.lua")

    def take_over(self) -> Delivery:
        """Claim frames that some worker has left unreported for longer than the idle limit; a bounded step.

        Before Redis 7.0 an entry that was deleted stays pending: it comes without data, to be acknowledged.

        Raises:
            redis.RedisError: Redis failed; what was claimed is taken over again when it has been idle.
        """
        server = self._group.connect()
        asked_at = time.monotonic()
        try:
            entries, now_ms = self._take_over()
        except NONSENSE as error:
            raise not_understood(error) from error
        return Delivery(entries, asked_at, now_ms, server, redelivered=True)

    def _take_over(self) -> tuple[Sequence[Entry], int]:
        look: Command = ("XPENDING", self._group.stream, GROUP, self._cursor, "+", self._count * _LOOK_AHEAD)
        pending, clock = self._group.run([look, ("TIME",)])
        now_ms = clock_ms(check([clock])[0])
        if not self._group.was_there([pending]):
            return (), now_ms
        left = [entry_id for entry_id, holder, idle_ms, _ in pending if self._is_left(holder, idle_ms)][: self._count]
        if len(left) == self._count:
            self._cursor = _after(left[-1])
        elif len(pending) == self._count * _LOOK_AHEAD:
            self._cursor = _after(pending[-1][0])
        else:
            self._cursor = _FIRST
        return (self._claim(left) if left else ()), now_ms

    def _is_left(self, holder: bytes, idle_ms: int) -> bool:
        """Whether a frame has been left unreported by its worker, for this one to claim."""
        if may_be_of_one_cluster(holder, self._group.consumer.encode()):
            return idle_ms >= self._claim_idle_ms
        return idle_ms >= OTHER_CLUSTER_IDLE_MS

    def _claim(self, entry_ids: Sequence[bytes]) -> Sequence[Entry]:
        """Claim entries unless a peer was faster. One command each: a nil does not say which entry was deleted."""
        claim: Command = ("XCLAIM", self._group.stream, GROUP, self._group.consumer, self._claim_idle_ms)
        replies = self._group.run([(*claim, entry_id) for entry_id in entry_ids])
        if not self._group.was_there(replies):
            return ()
        entries: list[Entry] = []
        for entry_id, claimed in zip(entry_ids, replies, strict=True):
            entries += [Entry(entry_id, None)] if claimed == [None] else entries_of(claimed)
        return entries

    def renew(self, entry_ids: Sequence[bytes], server: str) -> Sequence[bytes]:
        """Count frames in hand as idle from now on. Returns those that are not this consumer's any more.

        `server` is the run id of the Redis server that delivered them. Another server cannot know whose they are.

        Raises:
            redis.RedisError: Redis failed; whose the frames are is unknown.
        """
        if not entry_ids:
            return ()
        if self._group.connect() != server:
            return entry_ids
        command: Command = ("EVAL", self._renew, 1, self._group.stream, GROUP, self._group.consumer, *entry_ids)
        (lost,) = check(self._group.run([command]))
        return some_of(entry_ids, lost)


def _after(entry_id: bytes) -> bytes:
    time_ms, _, number = entry_id.partition(b"-")
    return b"%b-%d" % (time_ms, int(number) + 1)
