"""A worker's end of one shard's stream: reads frames, takes over those of dead workers, answers and deletes them.

A frame stays pending in the consumer group from its delivery until it is answered. The answer, its acknowledgement and
its deletion are one `MULTI`, so that a frame is never deleted unanswered. `XACK` alone would free no memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import redis

from protocol.frames import VERSION
from protocol.names import EPHEMERAL_TTL_S, FIELD, GROUP, REFUSED, shard_stream, shard_workers
from protocol.redis_wire import Command, Wire, check

_log = logging.getLogger(__name__)

BLOCK_MS = 1000
"""How long a read waits for a frame; also the longest time until a worker notices that it should stop."""

MAX_REPLY_ENTRIES = 100_000
"""Where a reply stream is cut off if its api process reads no more but something keeps it from expiring."""

DEAD_CONSUMER_IDLE_MS = 60_000
"""A consumer that was silent for so long and has nothing pending counts as dead.

Before Redis 7.2 a read that finds nothing is silence as well: such a consumer lives, and its next frame makes it anew.
"""

PRESENT_MS = 3000
"""How long after it last said so a worker counts as there; one that waits for frames does so after each wait."""

_LOOK_AHEAD = 10
"""Pending frames looked at in one step of taking over, as a multiple of those that may be claimed in it."""

_FIRST = b"0-0"

_NONSENSE = (TypeError, ValueError, LookupError, AttributeError)
"""What comes of an answer that has another form than asked for, because bytes of it or of the question were lost."""


class Entry(NamedTuple):
    """A stream entry: its id, and the encoded frame it holds (None where the entry holds none)."""

    id: bytes
    data: bytes | None


class Answers(NamedTuple):
    """What a turn's work came to: `(reply stream, encoded reply)` pairs, and the ids of the entries that are done.

    `refused` are `(reply stream, entry id)` of those that were done by refusing them.
    """

    replies: Sequence[tuple[str, bytes]] = ()
    done: Sequence[bytes] = ()
    refused: Sequence[tuple[str, bytes]] = ()


def _entries(raw: Sequence[Any]) -> list[Entry]:
    return [Entry(entry_id, _data(fields)) for entry_id, fields in raw]


def _data(fields: Sequence[bytes]) -> bytes | None:
    data = next((fields[i + 1] for i in range(0, len(fields), 2) if fields[i] == FIELD), None)
    if data is not None and not isinstance(data, bytes):
        raise TypeError("the data of an entry is no bytes")
    return data


def _not_understood(error: Exception) -> redis.InvalidResponse:
    return redis.InvalidResponse(f"redis answered something else than it was asked: {error!r}")


def _after(entry_id: bytes) -> bytes:
    time_ms, _, number = entry_id.partition(b"-")
    return b"%b-%d" % (time_ms, int(number) + 1)


class ShardStream:
    """The stream of one shard, as one consumer of its group."""

    def __init__(self, wire: Wire, shard: str, consumer: str, *, count: int, claim_idle_ms: int) -> None:
        self._wire = wire
        self._shard = shard
        self._stream = shard_stream(shard)
        self._consumer = consumer
        self._count = count
        self._claim_idle_ms = claim_idle_ms
        self._cursor = _FIRST
        self._workers = shard_workers(shard, VERSION)
        self._attending_refused = False
        self._attend_source = resources.files(__package__).joinpath("attend.lua").read_text()
        self._forget_source = resources.files(__package__).joinpath("forget_consumers.lua").read_text()
        read = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count)
        self._read_now: Command = (*read, "STREAMS", self._stream, ">")
        self._read_blocking: Command = (*read, "BLOCK", BLOCK_MS, "STREAMS", self._stream, ">")

    def ensure_group(self) -> None:
        """Make the group if it is missing, from the stream's beginning: what was sent before must not be lost."""
        (reply,) = self._wire.run([("XGROUP", "CREATE", self._stream, GROUP, "0", "MKSTREAM")])
        if isinstance(reply, redis.ResponseError) and "BUSYGROUP" not in str(reply):
            raise reply

    def exchange(self, answers: Answers, *, block: bool) -> list[Entry]:
        """Answer the last turn's frames and return new ones, in one round trip.

        With `block` it waits up to `BLOCK_MS` for a frame.
        """
        commands = self._answering(answers)
        *answered, read = self._wire.run([*commands, self._read_blocking if block else self._read_now])
        self._check_answered(answered, answers)
        return self._read(read)

    def look(self, answers: Answers) -> tuple[list[Entry], int]:
        """Like `exchange` without waiting, and also: for how many milliseconds the first of the frames had waited."""
        *answered, clock, read = self._wire.run([*self._answering(answers), ("TIME",), self._read_now])
        self._check_answered(answered, answers)
        entries = self._read(read)
        try:
            seconds, microseconds = check([clock])[0]
            now_ms = int(seconds) * 1000 + int(microseconds) // 1000
            return entries, now_ms - int(entries[0].id.split(b"-", 1)[0]) if entries else 0
        except _NONSENSE as error:
            raise _not_understood(error) from error

    def _read(self, raw: Any) -> list[Entry]:
        try:
            return _entries(raw[0][1]) if self._group_was_there([raw]) and raw else []
        except _NONSENSE as error:
            raise _not_understood(error) from error

    def answer(self, answers: Answers) -> None:
        """Answer the last turn's frames without reading on."""
        commands = self._answering(answers)
        if commands:
            self._check_answered(self._wire.run(commands), answers)

    def take_over(self) -> list[Entry]:
        """Claim frames that some worker has left unanswered for longer than the idle limit; a bounded step.

        Before Redis 7.0 an entry that was deleted stays pending: it comes without data, to be acknowledged.
        """
        try:
            return self._take_over()
        except _NONSENSE as error:
            raise _not_understood(error) from error

    def _take_over(self) -> list[Entry]:
        look: Command = ("XPENDING", self._stream, GROUP, self._cursor, "+", self._count * _LOOK_AHEAD)
        (pending,) = self._wire.run([look])
        if not self._group_was_there([pending]):
            return []
        left = [entry_id for entry_id, _, idle_ms, _ in pending if idle_ms >= self._claim_idle_ms][: self._count]
        if len(left) == self._count:
            self._cursor = _after(left[-1])
        elif len(pending) == self._count * _LOOK_AHEAD:
            self._cursor = _after(pending[-1][0])
        else:
            self._cursor = _FIRST
        return self._claim(left) if left else []

    def _claim(self, entry_ids: Sequence[bytes]) -> list[Entry]:
        """Claim entries unless a peer was faster. One command each: a nil does not say which entry was deleted."""
        claim: Command = ("XCLAIM", self._stream, GROUP, self._consumer, self._claim_idle_ms)
        replies = self._wire.run([(*claim, entry_id) for entry_id in entry_ids])
        if not self._group_was_there(replies):
            return []
        entries: list[Entry] = []
        for entry_id, claimed in zip(entry_ids, replies, strict=True):
            entries += [Entry(entry_id, None)] if claimed == [None] else _entries(claimed)
        return entries

    def keep(self, entries: Sequence[bytes]) -> bool:
        """Count frames in hand as idle from now on; returns whether they were given to nobody but this consumer."""
        if not entries:
            return True
        looks: list[Command] = [("XPENDING", self._stream, GROUP, entry, entry, 1) for entry in entries]
        # Without counting it as another delivery.
        claim: Command = ("XCLAIM", self._stream, GROUP, self._consumer, 0, *entries, "JUSTID")
        *_, found = check(self._wire.run([("MULTI",), *looks, claim, ("EXEC",)]))
        own = self._consumer.encode()
        try:
            return all(look and look[0][1] == own and look[0][3] == 1 for look in check(found)[:-1])
        except _NONSENSE as error:
            raise _not_understood(error) from error

    def attend(self) -> list[bytes]:
        """Say that this worker is there; the names of all that are, or none where Redis refuses to keep them.

        It may be out of memory, or not have given its workers the right yet. Frames are worked all the same.
        """
        command: Command = ("EVAL", self._attend_source, 1, self._workers, self._consumer, PRESENT_MS, EPHEMERAL_TTL_S)
        (present,) = self._wire.run([command])
        refused = isinstance(present, redis.ResponseError)
        if refused and not self._attending_refused:
            _log.warning("redis keeps no workers", extra={"stream": self._stream, "error": str(present)})
        self._attending_refused = refused
        if refused:
            return []
        if not isinstance(present, list) or self._consumer.encode() not in present:
            raise _not_understood(ValueError(repr(present)))
        return present

    def forget_dead_consumers(self) -> None:
        """Delete consumers that are dead and have nothing pending."""
        check(self._wire.run([("EVAL", self._forget_source, 1, self._stream, GROUP, DEAD_CONSUMER_IDLE_MS, "")]))

    def leave(self) -> None:
        """Be there no more; delete this consumer if it has nothing pending, as its peers take its frames over first."""
        forget: Command = ("EVAL", self._forget_source, 1, self._stream, GROUP, 0, self._consumer)
        # Where Redis refuses to keep the workers it also refuses to forget one: then none is remembered.
        _, forgotten = self._wire.run([("ZREM", self._workers, self._consumer), forget])
        check([forgotten])
        self._wire.close()

    def disconnect(self) -> None:
        """Drop the connection; the next command makes another."""
        self._wire.close()

    def age_s(self, entry_id: bytes) -> float:
        """Seconds since an entry was appended, by Redis' clock at that time and this machine's now; 0 if unreadable."""
        digits = entry_id.split(b"-", 1)[0]
        return time.time() - int(digits) / 1000 if digits.isdigit() else 0.0

    def _answering(self, answers: Answers) -> list[Command]:
        if not answers.done and not answers.replies:
            return []
        commands: list[Command] = [("MULTI",)]
        commands += [
            ("XADD", stream, "MAXLEN", "~", MAX_REPLY_ENTRIES, "*", FIELD, data) for stream, data in answers.replies
        ]
        commands += [
            ("XADD", stream, "MAXLEN", "~", MAX_REPLY_ENTRIES, "*", REFUSED, self._refusal(entry_id))
            for stream, entry_id in answers.refused
        ]
        told = {stream for stream, _ in (*answers.replies, *answers.refused)}
        commands += [("EXPIRE", stream, EPHEMERAL_TTL_S) for stream in told]
        if answers.done:
            commands += [("XACK", self._stream, GROUP, *answers.done), ("XDEL", self._stream, *answers.done)]
        return [*commands, ("EXEC",)]

    def _refusal(self, entry_id: bytes) -> bytes:
        return b"%b %b %d" % (self._shard.encode(), entry_id, VERSION)

    def _check_answered(self, replies: Sequence[Any], answers: Answers) -> None:
        """See that the `MULTI` was carried out.

        Where Redis is out of memory it refuses the replies, and with them the deletion, which is what would free some.
        Then the frames are deleted all the same: their outcomes stand in the store, and who waits is told at the
        deadline that the outcome is unknown. What was to be told before its frames are done can be told with them.
        """
        if not replies:
            return
        error = next((reply for reply in replies if isinstance(reply, redis.ResponseError)), None)
        if error is None:
            return
        if not answers.done or not answers.replies or not any("OOM" in str(reply) for reply in replies):
            raise error
        _log.error("redis is out of memory, replies are lost", extra={"stream": self._stream})
        check(self._wire.run(self._answering(Answers((), answers.done))))

    def _group_was_there(self, replies: Sequence[Any]) -> bool:
        """Whether the group was there for these commands; if not, it is there now."""
        error = next((reply for reply in replies if isinstance(reply, redis.ResponseError)), None)
        if error is None:
            return True
        if not _group_is_gone(error):
            raise error
        self.ensure_group()
        return False


def _group_is_gone(error: redis.ResponseError) -> bool:
    text = str(error)
    return "NOGROUP" in text or "UNBLOCKED" in text or "no longer exists" in text
