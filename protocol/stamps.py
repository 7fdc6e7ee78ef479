"""When a worker took a chunk, called its shard with it and had the answer: what a worker tells of traced requests.

They travel among the outcomes of a reply, as one whose id no chunk has; an api that does not know them passes over it.
Only requests whose `traceparent` says that they are sampled (W3C Trace Context) are stamped; all others cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from protocol.frames import Outcome

STAMPS = b"stamps"
"""The id of their outcome. Those of chunks have 16 bytes."""

_SAMPLED = 1


class Stamp(NamedTuple):
    """One chunk of a traced request. Times are Unix time in nanoseconds by the worker's clock, but `sent_ms`, which is
    by the api's, in milliseconds. `called_ns` and `answered_ns` are 0 where the shard was not called.
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
    """The stamps as they travel."""
    return Outcome(STAMPS, 0, _encode(stamps))


def stamps_in(payload: Any) -> list[Stamp]:
    """The stamps in an outcome's payload; none where it has another form, as that of a later version."""
    try:
        return _decode(payload)
    except (msgspec.MsgspecError, TypeError):
        return []
