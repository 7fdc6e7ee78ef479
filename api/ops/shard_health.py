"""Finds out regularly which shards do not answer. Its routes are in `health`, so that this module needs no Litestar.

A process stays ready while a shard is down: the keys of the other shards still work here, and another process could not
reach that shard either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from api.overload.errors import OverloadedError

_log = logging.getLogger(__name__)

ASK_EVERY_S = 2.0
"""Seconds between two rounds of questions to the shards. A round is one small chunk for each shard."""

ANSWER_WITHIN_S = 2.0
"""If a shard has not answered after so many seconds, it counts as down."""

Ask = Callable[[str, float], Awaitable[bool]]
"""Asks a shard, by name, for any answer within this many seconds. False: it gave none.

Raises:
    OverloadedError: the question was not asked, which says nothing about the shard.
"""


class ShardHealth:
    """Which shards answered the last question, as this process reaches them through its queue and a worker."""

    def __init__(self, shards: Sequence[str], ask: Ask) -> None:
        self._ask = ask
        self._down: set[str] = set()
        self.use(shards)

    def use(self, shards: Sequence[str]) -> None:
        """Set the shards."""
        self.shards = tuple(shards)
        self._down.intersection_update(shards)

    @property
    def down(self) -> list[str]:
        """The shards that did not answer, in the order of `shards`."""
        return [shard for shard in self.shards if shard in self._down]

    async def watch(self) -> None:
        """Ask every shard, again and again."""
        while True:
            await asyncio.gather(*map(self._ask_one, self.shards))
            await asyncio.sleep(ASK_EVERY_S)

    async def _ask_one(self, shard: str) -> None:
        try:
            answers = await self._ask(shard, ANSWER_WITHIN_S)
        except OverloadedError:
            return
        if shard not in self.shards:
            return
        if answers and shard in self._down:
            self._down.discard(shard)
            _log.info("a shard answers again", extra={"shard": shard})
        elif not answers and shard not in self._down:
            self._down.add(shard)
            _log.warning("a shard does not answer", extra={"shard": shard})
