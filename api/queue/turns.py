"""Cuts the chunks of a large batch into turns: a shard gets a few at a time, and another one for each that it has
answered.

If all were sent at once, a small read of another client would wait behind them in the shard's stream.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.frames import Chunk

TURN_BYTES = 512 * 1024
"""Bytes of one turn: some 10 ms of a shard's work."""

TURNS_AT_ONCE = 2
"""Turns that a shard has at a time: it works on one while the answer to the other is sent."""


def turns_of(parts: Sequence[tuple[str, Chunk]]) -> dict[str, list[list[int]]]:
    """The turns of each shard in order. Each is the positions of its parts: as many as `TURN_BYTES` holds, and at least
    one.
    """
    turns: dict[str, list[list[int]]] = {}
    sizes: dict[str, int] = {}
    for position, (shard, chunk) in enumerate(parts):
        size = sizes.get(shard, 0) + len(chunk.body)
        own = turns.setdefault(shard, [])
        if own and size <= TURN_BYTES:
            own[-1].append(position)
        else:
            own.append([position])
            size = len(chunk.body)
        sizes[shard] = size
    return turns
