"""A worker's end of one shard's stream: reads frames, takes over those of dead workers, answers and deletes them.

A frame stays pending in the consumer group from its delivery until it is answered. The answer, its acknowledgement and
its deletion are one `MULTI`, so that a frame is never deleted unanswered. `XACK` alone would free no memory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple, cast

import redis

from protocol.names import EPHEMERAL_TTL_S, FIELD, GROUP, shard_stream

BLOCK_MS = 1000
"""How long a read waits for a frame; also the longest time until a worker notices that it should stop."""

MAX_REPLY_ENTRIES = 100_000
"""Where a reply stream is cut off if its api process reads no more but something keeps it from expiring."""

DEAD_CONSUMER_IDLE_MS = 60_000
"""A live consumer reads at least every `BLOCK_MS`; one that was silent for so long and has nothing pending is dead."""


class Entry(NamedTuple):
    """A stream entry: its id, and the encoded frame it holds (None where the entry holds none)."""

    id: bytes
    data: bytes | None


def _entries(raw: Sequence[tuple[bytes, Mapping[bytes, bytes] | None]]) -> list[Entry]:
    return [Entry(entry_id, (fields or {}).get(FIELD)) for entry_id, fields in raw]


class ShardStream:
    """The stream of one shard, as one consumer of its group."""

    def __init__(self, client: redis.Redis, shard: str, consumer: str, *, count: int, claim_idle_ms: int) -> None:
        self._redis = client
        self._stream = shard_stream(shard)
        self._consumer = consumer
        self._count = count
        self._claim_idle_ms = claim_idle_ms
        self._cursor: bytes = b"0-0"
        source = resources.files(__package__).joinpath("forget_consumers.lua").read_text()
        self._forget = client.register_script(source)

    def ensure_group(self) -> None:
        """Make the group if it is missing, from the stream's beginning: what was sent before must not be lost."""
        try:
            self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def read(self) -> list[Entry]:
        """Wait up to `BLOCK_MS` for new frames and return those there are, none after that time."""
        try:
            answer = self._redis.xreadgroup(
                GROUP, self._consumer, {self._stream: ">"}, count=self._count, block=BLOCK_MS
            )
        except redis.ResponseError as error:
            if not _group_is_gone(error):
                raise
            self.ensure_group()
            return []
        return _entries(cast("list[Any]", answer)[0][1]) if answer else []

    def take_over(self) -> list[Entry]:
        """Claim frames that some worker has left unanswered for longer than the idle limit; a bounded step."""
        try:
            cursor, raw, *_ = cast(
                "Sequence[Any]",
                self._redis.xautoclaim(
                    self._stream,
                    GROUP,
                    self._consumer,
                    min_idle_time=self._claim_idle_ms,
                    start_id=self._cursor,
                    count=self._count,
                ),
            )
        except redis.ResponseError as error:
            if not _group_is_gone(error):
                raise
            self.ensure_group()
            return []
        self._cursor = cursor
        return _entries(raw)

    def answer(self, replies: Sequence[tuple[str, bytes]], done: Sequence[bytes]) -> None:
        """Send `replies` (reply stream, encoded reply) and delete the entries that they answer, all or nothing."""
        with self._redis.pipeline(transaction=True) as pipe:
            for stream, data in replies:
                pipe.xadd(stream, {FIELD: data}, maxlen=MAX_REPLY_ENTRIES, approximate=True)
            for stream in {stream for stream, _ in replies}:
                pipe.expire(stream, EPHEMERAL_TTL_S)
            if done:
                pipe.xack(self._stream, GROUP, *done)
                pipe.xdel(self._stream, *done)
            pipe.execute()

    def forget_dead_consumers(self) -> None:
        """Delete consumers that are dead and have nothing pending."""
        self._forget(keys=[self._stream], args=[GROUP, DEAD_CONSUMER_IDLE_MS, ""])

    def leave(self) -> None:
        """Delete this consumer if it has nothing pending; otherwise its peers take its frames over first."""
        self._forget(keys=[self._stream], args=[GROUP, 0, self._consumer])

    def age_s(self, entry_id: bytes) -> float:
        """Seconds since an entry was appended, by Redis' clock at that time and this machine's now."""
        return time.time() - int(entry_id.split(b"-", 1)[0]) / 1000


def _group_is_gone(error: redis.ResponseError) -> bool:
    text = str(error)
    return "NOGROUP" in text or "UNBLOCKED" in text or "no longer exists" in text
