"""Cuts the chunks of one large batch into turns: a shard is given a few, and another when it has answered one of them.

All at once would stand in the shard's stream before whatever comes after them, as a small read of another client.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.frames import Chunk

TURN_BYTES = 512 * 1024
"""Bytes of one turn, some 10 ms of a shard's work."""

TURNS_AT_ONCE = 2
"""Turns that a shard has at a time: it works one while the answer to the other is on its way."""


def turns_of(parts: Sequence[tuple[str, Chunk]]) -> dict[str, list[list[int]]]:
    """The turns of each shard in order, each the positions of its parts: as many as have `TURN_BYTES`, one at least."""
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
