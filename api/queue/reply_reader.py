"""The reader of a lane: takes the workers' replies from the api process's stream there, and settles their chunks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import redis.exceptions

from api.queue.failure_line import FailureLine
from api.queue.outgoing import Outgoing
from protocol.backoff import Backoff
from protocol.frames import VERSION, FrameError, Outcome, decode_reply
from protocol.names import REFUSED, reply_stream
from protocol.redis_wire import AsyncWire, Command, check
from protocol.settings import RedisSettings

_log = logging.getLogger(__name__)

READ_BLOCK_MS = 1000
READ_COUNT = 16
"""Replies in one read. A worker puts 4 MiB at most into one, unless a single answer is larger."""

MAX_READ_BYTES = 1024 * 1024
"""If the replies that were read take more of Redis' memory than this, they are deleted at once."""

FIRST_WAIT_S, LAST_WAIT_S = 0.02, 0.5
"""Waits between attempts to connect."""

OTHER_CLUSTER_LINE_EVERY_S = 10.0
"""The least time between log lines about workers of another cluster that read this process's frames."""

_FIRST = b"0-0"

Refused = Callable[[str, bytes, str], None]
"""Called with the shard, the entry id and the reason of a frame that a worker could not read."""


def _nobody(works: bool) -> None:  # noqa: FBT001 - a callback of one argument
    """The default for a callback that is not needed."""


class ReplyReader:
    """Reads replies.

    `outgoing` gets the deletions of the replies that were read. They go with the sender's next round trip: if the
    reader sent them, their reply would wake the process once more. `wake_sender` makes the sender send them soon.
    `changed` is called with True when a session begins, and with False when a session or an attempt to begin one has
    failed. `silent_s` is how long Redis may be silent; 0 is the usual time.
    """

    def __init__(
        self,
        redis_settings: RedisSettings,
        process: str,
        outgoing: Outgoing,
        *,
        settle: Callable[[Iterable[Outcome]], object],
        refused: Refused,
        wake_sender: Callable[[], None],
        changed: Callable[[bool], None] = _nobody,
        silent_s: float = 0.0,
    ) -> None:
        self.connected = False
        self._redis_settings = redis_settings
        self._stream = reply_stream(process)
        self._outgoing = outgoing
        self._settle = settle
        self._refused = refused
        self._wake_sender = wake_sender
        self._changed = changed
        self._silent_s = silent_s
        self._failure_line = FailureLine(_log, "reading from redis failed", redis_settings.address.name)
        self._undeleted_bytes = 0
        self._logged_at = float("-inf")
        self._rewind = False
        self._reconnects = False
        self._wire: AsyncWire | None = None

    def begin_again(self, had_session: bool) -> None:  # noqa: FBT001 - the sender's callback has one argument
        """Read the stream from its beginning: the data in Redis may be new, with ids from an earlier time."""
        self._rewind = True
        if had_session and self._wire is not None and self.connected:
            # This connection may lead to the former leader, where the read could wait for ever for entries that are
            # written elsewhere.
            self._reconnects = True
            self._wire.close()

    async def run(self) -> None:
        """Read, on one connection after another; never returns."""
        backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
        while True:
            wire = self._wire = AsyncWire(
                self._redis_settings, name="api-read", block_ms=READ_BLOCK_MS, silent_s=self._silent_s
            )
            try:
                # A read that Redis answers at once. A PING would succeed also if reads are refused, and this would try
                # again and again without a wait.
                check(await wire.run([("XREAD", "STREAMS", self._stream, "$")]))
                self.connected = True
                self._reconnects = False
                backoff.reset()
                self._changed(True)
                await self._session(wire)
            except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
                if self._reconnects:
                    # This process closed the connection itself. It counts as failed only if the next connection fails.
                    self._reconnects = False
                else:
                    self._failure_line.log(error, worked=self.connected)
                    self.connected = False
                    self._changed(False)
            finally:
                wire.close()
            await asyncio.sleep(backoff.next_s())

    async def _session(self, wire: AsyncWire) -> None:
        last = _FIRST
        while True:
            if self._rewind:
                last, self._rewind = _FIRST, False
            last = await self._read(wire, last)

    async def _read(self, wire: AsyncWire, last: bytes) -> bytes:
        """Wait for replies after the entry `last`; returns the id of the last entry read."""
        read: Command = ("XREAD", "COUNT", READ_COUNT, "BLOCK", READ_BLOCK_MS, "STREAMS", self._stream, last)
        (answer,) = check(await wire.run([read]))
        if not answer:
            return last
        for entry_id, field, data in entries_of(answer):
            last = entry_id
            self._outgoing.delete(self._stream, entry_id)
            self._undeleted_bytes += len(data)
            if field == REFUSED:
                self._take_refusal(data)
            else:
                self._take_reply(data)
        if self._undeleted_bytes > MAX_READ_BYTES:
            self._undeleted_bytes = 0
            self._wake_sender()
        return last

    def _take_reply(self, data: bytes) -> None:
        try:
            reply = decode_reply(data)
        except FrameError as error:
            _log.error("dropped a reply", extra={"error": str(error)})
        else:
            self._settle(reply.outcomes)

    def _take_refusal(self, data: bytes) -> None:
        words = [word.decode("ascii", "replace") for word in data.split(b" ")]
        match words:
            case [shard, entry, version]:
                reason = f"the worker understands format version {version}, not {VERSION}"
            case [shard, entry, _, cluster]:
                reason = f"the worker works for another cluster, {cluster}: two clusters use one Redis"
                self._log_other_cluster(shard, cluster)
            case _:
                _log.error("dropped a refusal", extra={"refusal": data[:100].decode("ascii", "replace")})
                return
        self._refused(shard, entry.encode(), reason)

    def _log_other_cluster(self, shard: str, cluster: str) -> None:
        """Log it from time to time: there can be thousands of such replies in a second."""
        if time.monotonic() - self._logged_at >= OTHER_CLUSTER_LINE_EVERY_S:
            self._logged_at = time.monotonic()
            _log.error("two clusters use one redis", extra={"shard": shard, "other_cluster": cluster})


def entries_of(answer: Any) -> list[tuple[bytes, bytes, bytes]]:
    """The id, field and data of each entry of one stream, as `XREAD` answers them.

    Raises:
        redis.exceptions.InvalidResponse: the answer is damaged, because bytes of it or of the command were lost on the
            way.
    """
    try:
        entries = [(entry_id, fields[0], fields[1]) for entry_id, fields in answer[0][1]]
    except (TypeError, ValueError, LookupError) as error:
        raise redis.exceptions.InvalidResponse(f"redis answered something else than it was asked: {error!r}") from error
    if not all(isinstance(part, bytes) for entry in entries for part in entry):
        raise redis.exceptions.InvalidResponse("redis answered something else than it was asked")
    return entries
