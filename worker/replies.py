"""Replies to api processes: outcomes, encoded as entries of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from protocol.frames import Outcome, encode_reply

MAX_REPLY_BYTES = 4 * 1024 * 1024
"""Payload bytes in one reply entry, unless a single outcome is larger."""


def encoded(outcomes: Mapping[str, Sequence[Outcome]]) -> list[tuple[str, bytes]]:
    """`(reply stream, encoded reply)` pairs for the outcomes of each reply stream."""
    return [(stream, encode_reply(part)) for stream, every in outcomes.items() for part in parts(every)]


def size_of(outcome: Outcome) -> int:
    """Payload bytes of an outcome."""
    return len(outcome.payload) if isinstance(outcome.payload, bytes) else 0


def parts(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """Outcomes in pieces of `MAX_REPLY_BYTES`."""
    if sum(map(size_of, outcomes)) <= MAX_REPLY_BYTES:
        if outcomes:
            yield [*outcomes]
        return
    part: list[Outcome] = []
    size = 0
    for outcome in outcomes:
        weight = size_of(outcome)
        if part and size + weight > MAX_REPLY_BYTES:
            yield part
            part, size = [], 0
        part.append(outcome)
        size += weight
    if part:
        yield part
