"""Frame claims: takes over the frames of dead workers, and renews this worker's own."""

from __future__ import annotations

import time
from collections.abc import Sequence

from protocol.names import GROUP, may_be_of_one_cluster
from protocol.redis_wire import Command, check
from worker.group import NONSENSE, Entry, Group, clock_ms, entries_of, not_understood, script, some_of
from worker.stream import Delivery

_LOOK_AHEAD = 10
"""Pending frames that one step of takeover looks at, as a multiple of those that it may claim."""

OTHER_CLUSTER_IDLE_MS = 60_000
"""Pending frames of another cluster's workers are left to those workers for this long; then they are old enough to be
deleted."""

_FIRST = b"0-0"


class TakeOver:
    """Takes over and renews the pending frames of one consumer's group."""

    def __init__(self, group: Group, *, count: int, claim_idle_ms: int) -> None:
        self._group = group
        self._count = count
        self._claim_idle_ms = claim_idle_ms
        self._cursor = _FIRST
        self._renew = script("renew_claim.lua")

    def take_over(self) -> Delivery:
        """Claim frames whose worker has not reported or renewed them for the idle limit; a bounded step.

        Before Redis 7.0 a deleted entry stays pending: it is returned without data, and must be acknowledged.

        Raises:
            redis.RedisError: Redis failed; frames that were claimed are taken over again after the idle limit.
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
        """Whether its worker has not reported a frame for so long that this one may claim it."""
        if may_be_of_one_cluster(holder, self._group.consumer.encode()):
            return idle_ms >= self._claim_idle_ms
        return idle_ms >= OTHER_CLUSTER_IDLE_MS

    def _claim(self, entry_ids: Sequence[bytes]) -> Sequence[Entry]:
        """Claim entries unless another worker was faster. There is one command for each: a nil does not say which entry
        was deleted.
        """
        claim: Command = ("XCLAIM", self._group.stream, GROUP, self._group.consumer, self._claim_idle_ms)
        replies = self._group.run([(*claim, entry_id) for entry_id in entry_ids])
        if not self._group.was_there(replies):
            return ()
        entries: list[Entry] = []
        for entry_id, claimed in zip(entry_ids, replies, strict=True):
            entries += [Entry(entry_id, None)] if claimed == [None] else entries_of(claimed)
        return entries

    def renew(self, entry_ids: Sequence[bytes], server: str) -> Sequence[bytes]:
        """Renew the frame claims: their idle time begins again. Returns the frames that another worker has taken over.

        `server` is the run id of the Redis server that delivered them. Another server cannot know who holds them.

        Raises:
            redis.RedisError: Redis failed; who holds the frames is unknown.
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
