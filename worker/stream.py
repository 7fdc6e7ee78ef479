"""Reads the frames of one shard's stream and reports their outcomes.

A frame stays pending in the consumer group from its delivery until its report. The report, the acknowledgement and the
deletion are one step, so that no frame is deleted without a report. `XACK` alone would free no memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from protocol.frames import VERSION
from protocol.names import EPHEMERAL_TTL_S, FIELD, GROUP, REFUSED
from protocol.redis_wire import Command, check
from worker.group import NONSENSE, Entry, Group, clock_ms, entries_of, not_understood, script, some_of

_log = logging.getLogger(__name__)

BLOCK_MS = 1000
"""How long a read waits for a frame, and so the longest time until a worker notices that it should stop."""

MAX_REPLY_ENTRIES = 100_000
"""The length at which a reply stream is trimmed if its api process does not read any more but the stream does not
expire."""


class Delivery(NamedTuple):
    """Frames that this worker was given in one step, and the times by which their age is computed.

    Redis delivered them after `asked_at` (monotonic clock of this process) and before `now_ms` (Redis' clock). `server`
    is the run id of the Redis server. `redelivered`: another worker may have been given them before.
    """

    entries: Sequence[Entry]
    asked_at: float
    now_ms: int
    server: str
    redelivered: bool = False

    def waited_ms(self, entry_id: bytes) -> int:
        """How long an entry had been in the stream; negative if Redis' clock was set back, 0 if the id is not
        readable.
        """
        digits = entry_id.partition(b"-")[0]
        return self.now_ms - int(digits) if digits.isdigit() else 0


class Report(NamedTuple):
    """What is reported in one step.

    `replies` are `(reply stream, encoded reply)` pairs. `done` are the ids of the frames to delete. `refused` are
    `(reply stream, entry id, cluster)` of frames that this worker cannot read, or that are for another cluster; in that
    case `cluster` is this worker's. `sole` are the frames whose report is true only if no other worker was ever given
    them. `server` is the run id of the Redis server that delivered the frames.
    """

    replies: Sequence[tuple[str, bytes]] = ()
    done: Sequence[bytes] = ()
    refused: Sequence[tuple[str, bytes, str]] = ()
    sole: Sequence[bytes] = ()
    server: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to report."""
        return not self.replies and not self.done


NOTHING = Report()


class ShardStream:
    """The stream of one shard, as one consumer of its group."""

    def __init__(self, group: Group, *, count: int) -> None:
        self._group = group
        self._report_sole = script("report_sole.lua")
        read = ("XREADGROUP", "GROUP", GROUP, group.consumer, "COUNT", count)
        self._read_now: Command = (*read, "STREAMS", group.stream, ">")
        self._read_blocking: Command = (*read, "BLOCK", BLOCK_MS, "STREAMS", group.stream, ">")

    def read(self, report: Report, *, block: bool) -> Delivery:
        """Send a report and read new frames, in one round trip. With `block` it waits up to `BLOCK_MS` for a frame.

        The report must not have `sole` frames.

        Raises:
            redis.RedisError: Redis failed; whether it accepted the report is unknown, and it may be sent again.
        """
        server = self._group.connect()
        asked_at = time.monotonic()
        report = _for_server(report, server)
        read = self._read_blocking if block else self._read_now
        *replies, raw, clock = self._group.run([*self._reporting(report), read, ("TIME",)])
        self._check_reported(replies, report)
        there = self._group.was_there([raw])
        try:
            entries = entries_of(raw[0][1]) if there and raw else []
            return Delivery(entries, asked_at, clock_ms(check([clock])[0]), server)
        except NONSENSE as error:
            raise not_understood(error) from error

    def report(self, report: Report) -> Sequence[bytes]:
        """Send a report. Returns those of its `sole` frames that other workers were given, too; if there are any,
        nothing was sent.

        Raises:
            redis.RedisError: as `read`.
        """
        server = self._group.connect()
        if report.sole and report.server != server:
            return report.sole
        report = _for_server(report, server)
        if report.sole:
            return self._send_if_sole(report)
        commands = self._reporting(report)
        if commands:
            self._check_reported(self._group.run(commands), report)
        return ()

    def _reporting(self, report: Report) -> list[Command]:
        if report.empty:
            return []
        commands: list[Command] = [("MULTI",)]
        commands += [
            ("XADD", stream, "MAXLEN", "~", MAX_REPLY_ENTRIES, "*", FIELD, data) for stream, data in report.replies
        ]
        commands += [("EXPIRE", stream, EPHEMERAL_TTL_S) for stream in {stream for stream, _ in report.replies}]
        if report.done:
            commands += [
                ("XACK", self._group.stream, GROUP, *report.done),
                ("XDEL", self._group.stream, *report.done),
            ]
        return [*commands, ("EXEC",)]

    def _send_if_sole(self, report: Report) -> Sequence[bytes]:
        sent = [(stream, FIELD, data) for stream, data in report.replies]
        sent += [(stream, REFUSED, self._refusal(entry_id, cluster)) for stream, entry_id, cluster in report.refused]
        keys = [self._group.stream, *(stream for stream, _, _ in sent)]
        arguments: list[bytes | str | int] = [GROUP, self._group.consumer, MAX_REPLY_ENTRIES, EPHEMERAL_TTL_S]
        for entry_ids in (report.sole, report.done):
            arguments += [len(entry_ids), *entry_ids]
        for _, field, data in sent:
            arguments += [field, data]
        (shared,) = self._group.run([("EVAL", self._report_sole, len(keys), *keys, *arguments)])
        if isinstance(shared, redis.ResponseError):
            self._check_reported([shared], report)
            return ()
        return some_of(report.sole, shared)

    def _refusal(self, entry_id: bytes, cluster: str) -> bytes:
        words = (self._group.shard.encode(), entry_id, b"%d" % VERSION, cluster.encode())
        return b" ".join(word for word in words if word)

    def _check_reported(self, replies: Sequence[Any], report: Report) -> None:
        """Check that Redis accepted the report.

        If Redis is out of memory it refuses the replies, and with them the deletion, which would free some. Then the
        frames are deleted without replies: applied changes are on record, and the api answers at the deadline that the
        outcome is unknown. Replies without a deletion are sent again later.
        """
        error = next((reply for reply in replies if isinstance(reply, redis.ResponseError)), None)
        if error is None:
            return
        if not report.done or not report.replies or not any("OOM" in str(reply) for reply in replies):
            raise error
        _log.error("redis is out of memory, replies were lost", extra={"stream": self._group.stream})
        check(self._group.run(self._reporting(Report(done=report.done))))


def _for_server(report: Report, server: str) -> Report:
    """The report for this Redis server: frames that another server delivered are not deleted here."""
    return report if report.server == server else report._replace(done=())
