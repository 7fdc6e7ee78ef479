"""Which workers are present at a shard: announces this one, and removes dead ones from the group."""

from __future__ import annotations

import logging

import redis

from protocol.frames import VERSION
from protocol.names import EPHEMERAL_TTL_S, GROUP, may_be_of_one_cluster, shard_workers
from protocol.redis_wire import Command, check
from worker.group import Group, not_understood, script

_log = logging.getLogger(__name__)

DEAD_CONSUMER_IDLE_MS = 60_000
"""A consumer that was silent for this long and has nothing pending counts as dead.

Before Redis 7.2 a read that finds nothing counts as silence, too: such a consumer is alive, and its next read creates
it again.
"""

PRESENT_MS = 3000
"""How long after its last announcement a worker counts as present; it announces itself after each wait."""


class Presence:
    """This worker's announcements at one shard."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._workers = shard_workers(group.shard, VERSION)
        self._refused = False
        self._announce = script("announce.lua")
        self._forget = script("forget_consumers.lua")

    def announce(self) -> list[bytes]:
        """Announce this worker. Returns the names of the present workers of its cluster, or none if Redis refuses to
        keep them.

        Redis may be out of memory, or may not have given its workers the right yet. Workers read frames all the same.
        """
        consumer = self._group.consumer
        command: Command = ("EVAL", self._announce, 1, self._workers, consumer, PRESENT_MS, EPHEMERAL_TTL_S)
        (present,) = self._group.run([command])
        refused = isinstance(present, redis.ResponseError)
        if refused and not self._refused:
            _log.warning("redis refused the announcement", extra={"stream": self._group.stream, "error": str(present)})
        self._refused = refused
        if refused:
            return []
        if not isinstance(present, list) or consumer.encode() not in present:
            raise not_understood(ValueError(repr(present)))
        return [other for other in present if may_be_of_one_cluster(other, consumer.encode())]

    def forget_dead_consumers(self) -> None:
        """Delete consumers that are dead and have nothing pending."""
        check(self._group.run([self._forgetting(DEAD_CONSUMER_IDLE_MS, "")]))

    def leave(self) -> None:
        """Withdraw the announcement, and delete this consumer unless it has frames pending, which other workers will
        take over.
        """
        # If Redis refuses announcements, it also refuses to remove one: then there is none.
        leave: Command = ("ZREM", self._workers, self._group.consumer)
        _, forgotten = self._group.run([leave, self._forgetting(0, self._group.consumer)])
        check([forgotten])
        self._group.disconnect()

    def _forgetting(self, least_idle_ms: int, consumer: str) -> Command:
        return ("EVAL", self._forget, 1, self._group.stream, GROUP, least_idle_ms, consumer)
