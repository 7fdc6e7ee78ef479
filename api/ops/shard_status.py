"""Asks the shards regularly about their claims, records and memory, for the gauges.

It sends each shard one small chunk like others: the api has no other way to reach shards.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from api.ops.metrics import Metrics
from api.overload.errors import OverloadedError
from api.queue.errors import StoreCallError
from api.queue.store_calls import StoreCalls
from protocol.clock import now_ms
from protocol.operations import Operation

_log = logging.getLogger(__name__)

ASK_EVERY_S = 15.0

ANSWER_WITHIN_S = 2.0
"""How long a request for the status waits for the answers, in seconds."""


class Moves(msgspec.Struct, frozen=True, array_like=True):
    """Moves of buckets to another shard, as the program that moves them reported: how many are done, how many there are
    in total, the milliseconds that remain (None: unknown), and the milliseconds since the report.
    """

    target: str
    done: int
    total: int
    left_ms: int | None
    age_ms: int


class Status(msgspec.Struct, frozen=True):
    """What a shard reports: the memory of its claims and records of applied chunks, with their indexes, and its total
    memory, in bytes; the keys that expire, how many were removed since its start, and the expiry lag; its clock, and
    whether it is read-only, as a shard without a leader is; the moves of its buckets. Shards of earlier versions do not
    report moves.
    """

    claims: int
    claim_bytes: int
    records: int
    record_bytes: int
    memory_used: int
    memory_limit: int
    expiring_keys: int
    expired_keys: int
    expiry_lag_ms: int
    keys: int
    now_ms: int
    ro: bool
    moves: tuple[Moves, ...] = ()


class Told(NamedTuple):
    """The last report of a shard, if any, and whether it still answers. `at` is on the monotonic clock."""

    status: Status | None
    at: float
    skew_s: float
    answers: bool


class ShardStatus:
    """Keeps the gauges of `shards` up to date. The values of a shard that does not answer are kept."""

    def __init__(self, calls: StoreCalls, shards: Sequence[str], metrics: Metrics) -> None:
        self._calls = calls
        self._metrics = metrics
        self._told: dict[str, Told] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self.use(shards)

    def use(self, shards: Sequence[str]) -> None:
        """Set the shards."""
        self.names = tuple(shards)
        self._told = {shard: told for shard, told in self._told.items() if shard in shards}

    async def run(self) -> None:
        """Ask again and again; never returns."""
        while True:
            await asyncio.gather(*map(self._ask, self.names))
            await asyncio.sleep(ASK_EVERY_S)

    async def fresh(self) -> Mapping[str, Told]:
        """The reports of the shards: new ones, or the last one of a shard that has not answered within
        `ANSWER_WITHIN_S`.
        """
        for shard in self.names:
            if shard not in self._asking:
                task = self._asking[shard] = asyncio.create_task(self._ask(shard), name="shard_status.ask")
                task.add_done_callback(partial(self._asked, shard))
        asked = dict(self._asking)
        _, silent = await asyncio.wait(asked.values(), timeout=ANSWER_WITHIN_S)
        return {
            shard: told._replace(answers=False) if asked.get(shard) in silent else told
            for shard, told in self._told.items()
        }

    def _asked(self, shard: str, _: asyncio.Task[None]) -> None:
        self._asking.pop(shard, None)

    async def _ask(self, shard: str) -> None:
        asked_ms = now_ms()
        before = self._told.get(shard, Told(None, 0.0, 0.0, answers=False))
        try:
            answer = await self._calls.call_shard(shard, Operation.STATUS, ())
            status = msgspec.convert(answer, Status)
        except (StoreCallError, OverloadedError, msgspec.ValidationError) as error:
            _log.debug("a shard did not report its status", extra={"shard": shard, "error": str(error)})
            if not isinstance(error, OverloadedError) and shard in self.names:
                self._metrics.leader(shard, there=False)
                self._told[shard] = before._replace(answers=False)
        else:
            if shard not in self.names:
                return
            skew_s = (status.now_ms - (asked_ms + now_ms()) / 2) / 1000
            self._told[shard] = Told(status, time.monotonic(), skew_s, answers=True)
            self._metrics.shard(shard, msgspec.to_builtins(status), skew_s=skew_s)
            self._metrics.leader(shard, there=not status.ro)
