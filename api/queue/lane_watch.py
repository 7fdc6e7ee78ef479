"""Watches whether answers come through the lanes, if there are several.

A Redis may accept every frame although the workers of a shard cannot reach it. So if chunks of a shard have waited for
some time and nothing of that shard came through their lane, the api asks the shard a question through another lane. If
the shard answers there, the lane is at fault, and the shard changes to the other one. If not, the shard is at fault,
and its chunks are not sent a second time, because that would not help. A lane that has failed must carry such an answer
before shards return to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec

from api.overload.errors import OverloadedError
from api.overload.shard_limits import Admission
from api.queue.chunk_ids import ChunkIds
from api.queue.lanes import Lanes
from api.queue.pending import NOBODY, Gathering, Pending, PendingChunks, resolving
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status

LOOK_EVERY_S = 0.1

SUSPECT_S = 0.6
"""A lane is suspected after chunks have waited for this long and nothing came. Calls that take longer are rare."""

ANSWER_WITHIN_S = 0.5
"""How long the api waits for the answer to a question."""

PROVE_EVERY_S = 1.0
"""How often the api asks through a lane that has failed, before shards may return to it."""


class LaneWatch:
    """Watches the lanes of one api process."""

    def __init__(self, lanes: Lanes, pending: PendingChunks, admission: Admission, ids: ChunkIds) -> None:
        self._lanes = lanes
        self._pending = pending
        self._admission = admission
        self._ids = ids
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._asked_at: dict[str, float] = {}

    async def run(self) -> None:
        """Look again and again; never returns."""
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                self._lanes.tick()
                self.look(time.monotonic())
        finally:
            for task in self._asking.values():
                task.cancel()

    def look(self, now: float) -> None:
        """Ask shards through other lanes if theirs may carry no answers, and through lanes to which they may return."""
        for shard in [shard for shard, task in self._asking.items() if task.done()]:
            # A question ends by itself. An exception in it is a fault of this program and ends the process.
            self._asking.pop(shard).result()
        for shard, position in self._suspects(now):
            if shard not in self._asking:
                self._ask(shard, self._doubt(shard, position))
        for shard in self._lanes.choice.shards():
            ahead = self._lanes.choice.unproven(shard)
            if ahead and shard not in self._asking and now - self._asked_at.get(shard, 0.0) >= PROVE_EVERY_S:
                self._asked_at[shard] = now
                self._ask(shard, self._prove(shard, ahead[0]))

    def _ask(self, shard: str, question: Coroutine[Any, Any, None]) -> None:
        self._asking[shard] = asyncio.create_task(question, name="lane_watch.ask")

    def _suspects(self, now: float) -> set[tuple[str, int]]:
        """Shards with a lane on which their chunks have waited too long while nothing came."""
        found: set[tuple[str, int]] = set()
        positions = {lane.outgoing: position for position, lane in enumerate(self._lanes.all)}
        for pending in self._pending:
            if pending.outgoing is None or pending.chunk.operation == Operation.DESCRIBE:
                continue
            position = positions[pending.outgoing]
            waits_since = max(pending.gathering.began, self._heard(pending.shard, position))
            if now - waits_since >= SUSPECT_S:
                found.add((pending.shard, position))
        return found

    def _heard(self, shard: str, position: int) -> float:
        """When something of a shard last came through a lane, or chunks were moved to it."""
        never = float("-inf")
        return max(self._lanes.all[position].heard.get(shard, never), self._lanes.moved_at.get(shard, never))

    async def _doubt(self, shard: str, position: int) -> None:
        asked_at = time.monotonic()
        for other in self._lanes.choice.order_of(shard):
            if other == position or not self._lanes.choice.is_up(other):
                continue
            if await self._answers(shard, other):
                if self._heard(shard, position) < asked_at and self._lanes.choice.is_up(position):
                    self._lanes.mute(shard, position)
                return

    async def _prove(self, shard: str, position: int) -> None:
        if await self._answers(shard, position):
            self._lanes.choice.prove(shard, position)

    async def _answers(self, shard: str, position: int) -> bool:
        """Whether a shard answers a question through a lane."""
        body = msgspec.msgpack.encode([])
        try:
            self._admission.admit([(shard, len(body))], None)
        except OverloadedError:
            return False
        deadline_ms = now_ms() + int(ANSWER_WITHIN_S * 1000)
        chunk = Chunk(self._ids.next(), Operation.DESCRIBE, deadline_ms, 0, 1, body)
        answered: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        gathering = Gathering(1, resolving(answered), NOBODY, time.monotonic() + ANSWER_WITHIN_S)
        pending = Pending(shard, chunk, gathering, 0)
        lane = self._lanes.all[position]
        self._pending.add(pending)
        lane.sender.add((pending,))
        (outcome,) = await answered
        # If the lane failed meanwhile, another one may have carried the question.
        return outcome.status == Status.OK and pending.outgoing is lane.outgoing
