"""Records how claimed requests ended, and tries again until the claim's shard has the record.

No request waits for this record. Until it is stored, a retry finds the claim pending, sends the same chunks, and is
answered from their records. So a late record only costs a retry some work, and so does one that is never made.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Any, NamedTuple, TypeAlias

from api.overload.errors import OverloadedError
from api.queue.errors import StoreCallError
from api.queue.store_calls import StoreCalls
from protocol.backoff import Backoff
from protocol.operations import Operation, Status

_log = logging.getLogger(__name__)

FIRST_WAIT_S, LAST_WAIT_S = 0.1, 5.0
"""Waits between rounds of attempts."""

MAX_LATE = 10_000
"""Late records that one process keeps. While a shard is down, each of its claimed requests leaves one."""

TRIES_AT_ONCE = 64
"""Late records in one round: a shard that has returned has other work, too."""

_FINAL = frozenset((Status.MALFORMED, Status.TOO_LARGE))
"""The shard will never accept such a record."""


Outcome: TypeAlias = str | tuple[int, str]
"""A success as the text of its document; a final failure as its status and a text."""


class Finish(NamedTuple):
    """How a claimed request ended. `until` is when the claim ends, on the monotonic clock."""

    bucket: int
    user: str
    key: str
    claim: str
    outcome: Outcome
    until: float


class Finishes:
    """The records that are not stored yet. `lasts_s` is how long a claim lasts at most."""

    def __init__(self, calls: StoreCalls, lasts_s: float) -> None:
        self._calls = calls
        self._lasts_s = lasts_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._late: deque[Finish] = deque()
        self._retrying: asyncio.Task[None] | None = None

    @property
    def late(self) -> int:
        """How many records are tried again."""
        return len(self._late)

    def add(self, bucket: int, user: str, key: str, claim: str, outcome: Outcome) -> None:
        """Record that the request of a claim ended with `outcome`; returns at once."""
        finish = Finish(bucket, user, key, claim, outcome, time.monotonic() + self._lasts_s)
        self._start(self._first_try(finish), "finishes.first_try")

    async def drain(self, timeout_s: float) -> None:
        """Wait until all records are stored, or for `timeout_s`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in list(self._tasks):
            task.cancel()
        if self._late:
            _log.warning("claims were left unfinished", extra={"claims": len(self._late)})

    async def _first_try(self, finish: Finish) -> None:
        if await self._record(finish):
            return
        self._late.append(finish)
        if len(self._late) > MAX_LATE:
            self._late.popleft()
        if self._retrying is None or self._retrying.done():
            self._retrying = self._start(self._retry(), "finishes.retry")

    async def _retry(self) -> None:
        backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
        while self._late:
            await asyncio.sleep(backoff.next_s())
            some = [self._late.popleft() for _ in range(min(TRIES_AT_ONCE, len(self._late)))]
            made = await asyncio.gather(*map(self._record, some))
            self._late.extend(finish for finish, done in zip(some, made, strict=True) if not done)
            if any(made):
                backoff.reset()

    async def _record(self, finish: Finish) -> bool:
        """Try to store a record; returns whether it needs no further attempt."""
        if time.monotonic() > finish.until:
            return True
        arguments = (finish.user, finish.key, finish.claim, finish.outcome)
        try:
            await self._calls.call(Operation.FINISH, finish.bucket, arguments)
        except StoreCallError as error:
            return error.status in _FINAL
        except OverloadedError:
            return False
        return True

    def _start(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a claim was not finished", exc_info=task.exception())
