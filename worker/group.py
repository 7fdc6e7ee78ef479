"""The consumer group of one shard's stream, as one of its consumers uses it: its names, and how it is created again.

Other modules work with the frames: `stream` reads and reports, `takeover` claims, `presence` announces.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import redis

from protocol.names import FIELD, GROUP, shard_stream
from protocol.redis_wire import Command, Wire

NONSENSE = (TypeError, ValueError, LookupError, AttributeError)
"""The errors of decoding a reply that has an unexpected form, because bytes of it or of the command were lost."""


class Entry(NamedTuple):
    """A stream entry: its id, and the encoded frame in it (None if there is none)."""

    id: bytes
    data: bytes | None


class Group:
    """One shard's stream and its group on one lane, with one connection. `lane` is its name in logs."""

    def __init__(self, wire: Wire, shard: str, consumer: str, lane: str = "") -> None:
        self.shard = shard
        self.lane = lane
        self.stream = shard_stream(shard)
        self.consumer = consumer
        self._wire = wire

    def connect(self) -> str:
        """Connect, unless connected; returns the run id of the Redis server at the other end.

        Raises:
            redis.RedisError: connecting failed.
        """
        self._wire.connect()
        return self._wire.server

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip; replies in order, an error reply as an exception object.

        Raises:
            redis.RedisError: the connection broke; which commands ran is unknown.
        """
        return self._wire.run(commands)

    def ensure(self) -> None:
        """Create the group if it is missing, from the stream's beginning: frames in the stream must not be lost."""
        (reply,) = self._wire.run([("XGROUP", "CREATE", self.stream, GROUP, "0", "MKSTREAM")])
        if isinstance(reply, redis.ResponseError) and "BUSYGROUP" not in str(reply):
            raise reply

    def was_there(self, replies: Sequence[Any]) -> bool:
        """Whether the group existed when the commands with these replies ran; if it did not, it does now.

        Raises:
            redis.ResponseError: another error is among the replies.
        """
        error = next((reply for reply in replies if isinstance(reply, redis.ResponseError)), None)
        if error is None:
            return True
        if not _group_is_gone(error):
            raise error
        self.ensure()
        return False

    def disconnect(self) -> None:
        """Close the connection; the next command opens another."""
        self._wire.close()


def entries_of(raw: Sequence[Any]) -> list[Entry]:
    """The entries in a reply of Redis."""
    return [Entry(entry_id, _data(fields)) for entry_id, fields in raw]


def not_understood(error: Exception) -> redis.InvalidResponse:
    """The error for an answer that has an unexpected form."""
    return redis.InvalidResponse(f"redis answered something else than it was asked: {error!r}")


def some_of(entry_ids: Sequence[bytes], reply: Any) -> Sequence[bytes]:
    """The ids in a reply, which must be some of `entry_ids`.

    Raises:
        redis.InvalidResponse: the reply has another form.
    """
    if not isinstance(reply, list) or any(entry_id not in entry_ids for entry_id in reply):
        raise not_understood(ValueError(repr(reply)))
    return reply


def clock_ms(reply: Any) -> int:
    """Redis' clock in the reply to `TIME`, in milliseconds."""
    seconds, microseconds = reply
    return int(seconds) * 1000 + int(microseconds) // 1000


def script(name: str) -> str:
    """The text of a Lua script of this package."""
    return resources.files(__package__).joinpath(name).read_text()


def _data(fields: Sequence[bytes]) -> bytes | None:
    data = next((fields[i + 1] for i in range(0, len(fields), 2) if fields[i] == FIELD), None)
    if data is not None and not isinstance(data, bytes):
        raise TypeError("the data of an entry is no bytes")
    return data


def _group_is_gone(error: redis.ResponseError) -> bool:
    text = str(error)
    return "NOGROUP" in text or "UNBLOCKED" in text or "no longer exists" in text
