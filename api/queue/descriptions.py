"""Asks all shards to describe themselves (DESCRIBE). The api makes the shard map from the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from api.queue.dispatcher import Dispatcher
from protocol.announced import Shards, announced
from protocol.buckets import Ownership, Ranges
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status

ASK_TIMEOUT_MS = 2000

STEPS = 3
"""How many times at most shards are asked that the shards asked before have announced."""


class Description(msgspec.Struct, frozen=True):
    """What a shard says of itself, and which shards it announces (None: it announces none)."""

    shard: str
    bucket_count: int
    ranges: Ranges
    instance: str = ""
    cluster: str | None = None
    moving: Ranges = ()
    moves: bool = False
    shards: dict[str, tuple[tuple[str, int], ...]] | None = None

    @property
    def ownership(self) -> Ownership:
        """The buckets that it owns."""
        return Ownership(self.shard, self.bucket_count, self.ranges, self.moving)


_decode = msgspec.msgpack.Decoder(Description).decode


@dataclass(frozen=True, slots=True)
class Round:
    """The answers of all shards. `shards` are those that exist, as far as the answers say; others are left out.

    `silent` has the reason for each shard that gave no answer.
    """

    shards: Shards
    said: Mapping[str, Description]
    silent: Mapping[str, str]

    def no_answer(self) -> str:
        """The shards that gave no answer, with the reasons."""
        return "no answer from " + ", ".join(f"{shard} ({reason})" for shard, reason in self.silent.items())


async def ask_all(dispatcher: Dispatcher, known: Shards) -> Round:
    """Ask the known shards, and the shards that they announce."""
    said: dict[str, Description] = {}
    silent: dict[str, str] = {}
    shards = known
    for _ in range(STEPS):
        names = [name for name in shards if name not in said and name not in silent]
        if not names:
            break
        answers = await asyncio.gather(*(ask(dispatcher, name, ASK_TIMEOUT_MS) for name in names))
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Outcome):
                silent[name] = answer.text
            else:
                said[name] = answer
        shards = announced({name: each.shards for name, each in said.items()}) or known
    return Round(
        shards,
        {name: said[name] for name in shards if name in said},
        {name: silent[name] for name in shards if name in silent},
    )


async def ask(dispatcher: Dispatcher, shard: str, timeout_ms: int) -> Description | Outcome:
    """What a shard says of itself, or the outcome of a question that the shard has not answered.

    Raises:
        Problem: 503, not admitted: the shard was not asked.
    """
    deadline_ms = now_ms() + timeout_ms
    chunk = Chunk(dispatcher.ids.next(), Operation.DESCRIBE, deadline_ms, 0, 1, msgspec.msgpack.encode([]))
    (outcome,) = await dispatcher.dispatch([(shard, chunk)])
    if outcome.status != Status.OK:
        return outcome
    try:
        return _decode(outcome.payload)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        return Outcome(outcome.id, Status.REFUSED, f"its answer is no description: {error}")
