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

from protocol.names import EPHEMERAL_TTL_S, FIELD, GROUP, shard_stream
from protocol.wire import Command, Wire, check

_log = logging.getLogger(__name__)

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


class Answers(NamedTuple):
    """What a turn's work came to: `(reply stream, encoded reply)` pairs, and the ids of the entries that are done."""

    replies: Sequence[tuple[str, bytes]] = ()
    done: Sequence[bytes] = ()


def _entries(raw: Sequence[Any]) -> list[Entry]:
    return [Entry(entry_id, _data(fields or ())) for entry_id, fields in raw]


def _data(fields: Sequence[bytes]) -> bytes | None:
    return next((fields[i + 1] for i in range(0, len(fields), 2) if fields[i] == FIELD), None)


class ShardStream:
    """The stream of one shard, as one consumer of its group."""

    def __init__(self, wire: Wire, shard: str, consumer: str, *, count: int, claim_idle_ms: int) -> None:
        self._wire = wire
        self._stream = shard_stream(shard)
        self._consumer = consumer
        self._count = count
        self._claim_idle_ms = claim_idle_ms
        self._cursor: bytes = b"0-0"
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
        return self._entries_of(read, lambda reply: reply[0][1])

    def answer(self, answers: Answers) -> None:
        """Answer the last turn's frames without reading on."""
        commands = self._answering(answers)
        if commands:
            self._check_answered(self._wire.run(commands), answers)

    def take_over(self) -> list[Entry]:
        """Claim frames that some worker has left unanswered for longer than the idle limit; a bounded step."""
        claim: Command = (
            "XAUTOCLAIM", self._stream, GROUP, self._consumer, self._claim_idle_ms, self._cursor, "COUNT", self._count,
        )  # fmt: skip
        (reply,) = self._wire.run([claim])
        if isinstance(reply, list):
            self._cursor = reply[0]
        return self._entries_of(reply, lambda claimed: claimed[1])

    def keep(self, entries: Sequence[bytes]) -> bool:
        """Count frames in hand as idle from now on; returns whether they were given to nobody but this consumer."""
        if not entries:
            return True
        looks: list[Command] = [("XPENDING", self._stream, GROUP, entry, entry, 1) for entry in entries]
        # Without counting it as another delivery.
        claim: Command = ("XCLAIM", self._stream, GROUP, self._consumer, 0, *entries, "JUSTID")
        *_, found = check(self._wire.run([("MULTI",), *looks, claim, ("EXEC",)]))
        own = self._consumer.encode()
        return all(look and look[0][1] == own and look[0][3] == 1 for look in check(found)[:-1])

    def forget_dead_consumers(self) -> None:
        """Delete consumers that are dead and have nothing pending."""
        check(self._wire.run([("EVAL", self._forget_source, 1, self._stream, GROUP, DEAD_CONSUMER_IDLE_MS, "")]))

    def leave(self) -> None:
        """Delete this consumer if it has nothing pending; otherwise its peers take its frames over first."""
        check(self._wire.run([("EVAL", self._forget_source, 1, self._stream, GROUP, 0, self._consumer)]))
        self._wire.close()

    def age_s(self, entry_id: bytes) -> float:
        """Seconds since an entry was appended, by Redis' clock at that time and this machine's now."""
        return time.time() - int(entry_id.split(b"-", 1)[0]) / 1000

    def _answering(self, answers: Answers) -> list[Command]:
        if not answers.done and not answers.replies:
            return []
        commands: list[Command] = [("MULTI",)]
        commands += [
            ("XADD", stream, "MAXLEN", "~", MAX_REPLY_ENTRIES, "*", FIELD, data) for stream, data in answers.replies
        ]
        commands += [("EXPIRE", stream, EPHEMERAL_TTL_S) for stream in {stream for stream, _ in answers.replies}]
        if answers.done:
            commands += [("XACK", self._stream, GROUP, *answers.done), ("XDEL", self._stream, *answers.done)]
        return [*commands, ("EXEC",)]

    def _check_answered(self, replies: Sequence[Any], answers: Answers) -> None:
        """See that the `MULTI` was carried out.

        Where Redis is out of memory it refuses the replies, and with them the deletion, which is what would free some.
        Then the frames are deleted all the same: their outcomes stand in the store, and who waits is told at the
        deadline that the outcome is unknown.
        """
        if not replies:
            return
        error = next((reply for reply in replies if isinstance(reply, redis.ResponseError)), None)
        if error is None:
            return
        if not answers.replies or not any("OOM" in str(reply) for reply in replies):
            raise error
        _log.error("redis is out of memory, replies are lost", extra={"stream": self._stream})
        check(self._wire.run(self._answering(Answers((), answers.done))))

    def _entries_of(self, reply: Any, pick: Any) -> list[Entry]:
        if isinstance(reply, redis.ResponseError):
            if not _group_is_gone(reply):
                raise reply
            self.ensure_group()
            return []
        return _entries(pick(reply)) if reply else []


def _group_is_gone(error: redis.ResponseError) -> bool:
    text = str(error)
    return "NOGROUP" in text or "UNBLOCKED" in text or "no longer exists" in text
