"""The times at which a worker read a traced chunk, called its shard and got the answer, as the worker reports them.

They are sent among the outcomes of a reply, with an id that no chunk has; an api that does not know them ignores them.
Only requests whose `traceparent` says that they are sampled (W3C Trace Context) have them; other requests cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from protocol.frames import Outcome

STAMPS = b"stamps"
"""The id of their outcome. The ids of chunks have 16 bytes."""

_SAMPLED = 1


class Stamp(NamedTuple):
    """One chunk of a traced request. Times are Unix time in nanoseconds by the worker's clock, except `sent_ms`, which
    is by the api's clock in milliseconds. `called_ns` and `answered_ns` are 0 if the shard was not called.
    """

    traceparent: str
    shard: str
    sent_ms: int
    taken_ns: int
    called_ns: int
    answered_ns: int
    replied_ns: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Stamp]).decode


def is_sampled(traceparent: str) -> bool:
    """Whether a `traceparent` of the right form asks for spans."""
    return bool(int(traceparent[-2:], 16) & _SAMPLED)


def outcome_of(stamps: Sequence[Stamp]) -> Outcome:
    """Encode stamps as an outcome."""
    return Outcome(STAMPS, 0, _encode(stamps))


def stamps_in(payload: Any) -> list[Stamp]:
    """Decode the stamps in an outcome's payload; none if it has another form, as that of a later version."""
    try:
        return _decode(payload)
    except (msgspec.MsgspecError, TypeError):
        return []
