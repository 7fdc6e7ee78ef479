"""Small operations on the store besides batches: sends one chunk to the shard of one bucket and decodes the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from api.queue.dispatcher import Dispatcher
from api.queue.errors import StoreCallError
from api.queue.topology import WAIT_S, Topology
from protocol.backoff import Backoff
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status


class StoreCalls:
    """Makes store calls. Each has a deadline of its own, or the earlier one of the request it belongs to."""

    def __init__(self, dispatcher: Dispatcher, topology: Topology, timeout_s: float) -> None:
        self._dispatcher = dispatcher
        self._topology = topology
        self._timeout_ms = int(timeout_s * 1000)

    async def call(
        self, operation: Operation, bucket: int, arguments: Sequence[Any], *, deadline_ms: int | None = None
    ) -> Any:
        """Run `operation` on the shard that owns `bucket`. The bucket goes in front of the arguments.

        While the bucket moves, the call is repeated until the deadline. Copies of a refused chunk do no harm: these
        operations take effect once at most, and never on newer data. `deadline_ms` is Unix time in milliseconds.

        Raises:
            StoreCallError: any outcome but `OK`.
            Problem: 503, not admitted.
        """
        body = msgspec.msgpack.encode([bucket, *arguments])
        deadline_ms = self._deadline(deadline_ms)
        pauses = Backoff(WAIT_S, WAIT_S)
        at_once = True
        while True:
            outcome = await self._send(self._topology.map.owner(bucket), operation, body, deadline_ms)
            if outcome.status != Status.WRONG_BUCKET:
                return _result(outcome)
            lesson = self._topology.learn(outcome.payload)
            if lesson.unknown:
                await self._topology.try_refresh()
            pause_s = 0.0 if at_once and not lesson.waits else pauses.next_s()
            at_once = False
            if now_ms() + pause_s * 1000 >= deadline_ms:
                raise StoreCallError(outcome.status, "the bucket is moving to another shard")
            await asyncio.sleep(pause_s)

    async def call_shard(self, shard: str, operation: Operation, arguments: Sequence[Any]) -> Any:
        """Run `operation`, which concerns no bucket, on `shard`; otherwise like `call`."""
        body = msgspec.msgpack.encode(list(arguments))
        return _result(await self._send(shard, operation, body, self._deadline(None)))

    def _deadline(self, deadline_ms: int | None) -> int:
        own_ms = now_ms() + self._timeout_ms
        return own_ms if deadline_ms is None else min(deadline_ms, own_ms)

    async def _send(self, shard: str, operation: Operation, body: bytes, deadline_ms: int) -> Outcome:
        chunk = Chunk(self._dispatcher.ids.next(), operation, deadline_ms, 0, 1, body)
        (outcome,) = await self._dispatcher.dispatch([(shard, chunk)])
        return outcome


def _result(outcome: Outcome) -> Any:
    if outcome.status != Status.OK:
        raise StoreCallError(outcome.status, outcome.text)
    try:
        return msgspec.msgpack.decode(outcome.payload) if outcome.payload else None
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise StoreCallError(Status.UNKNOWN, f"the shard's answer is damaged: {error}") from error
