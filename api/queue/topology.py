"""Which shard owns which bucket. The shards are asked at start, and again when one refuses a bucket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from api.queue.dispatcher import Dispatcher
from api.queue.errors import ShardsSilentError
from protocol.buckets import Ownership, ShardMap, build_shard_map
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.settings import ClusterSettings, parse_shards

_log = logging.getLogger(__name__)

ASK_TIMEOUT_MS = 2000


class _Description(msgspec.Struct, frozen=True):
    shard: str
    bucket_count: int
    ranges: tuple[tuple[int, int], ...]


_decode = msgspec.msgpack.Decoder(_Description).decode


class Topology:
    """The shard map of this process. `map` is only there after the first `refresh`."""

    def __init__(self, dispatcher: Dispatcher, settings: ClusterSettings) -> None:
        self._dispatcher = dispatcher
        self._shards: Sequence[str] = tuple(parse_shards(settings.shards))
        self._bucket_count = settings.bucket_count
        self._refreshing: asyncio.Task[None] | None = None
        self._map: ShardMap | None = None

    @property
    def map(self) -> ShardMap:
        """The map as the shards told it last."""
        if self._map is None:
            raise RuntimeError("the shard map is not loaded")
        return self._map

    @property
    def loaded(self) -> bool:
        """Whether there is a map."""
        return self._map is not None

    async def load(self, timeout_s: float) -> None:
        """Learn the map for the first time, asking again until every shard has answered.

        Raises:
            ShardMapError: the shards' accounts do not make one whole map.
            ShardsSilentError: some shards have not answered within `timeout_s`.
        """
        end = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                await self.refresh()
            except ShardsSilentError as error:
                if asyncio.get_running_loop().time() > end:
                    raise
                _log.info("waiting for shards", extra={"reason": str(error)})
                await asyncio.sleep(0.2)
            else:
                return

    async def refresh(self) -> None:
        """Learn the map again; calls at the same time share one round of questions.

        Raises:
            ShardMapError, ShardsSilentError: as `load`; the map that was there stays.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh(), name="topology.refresh")
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        answers = await asyncio.gather(*(self._ask(shard) for shard in self._shards))
        silent = {
            shard: answer for shard, answer in zip(self._shards, answers, strict=True) if isinstance(answer, Outcome)
        }
        if silent:
            reasons = (f"{shard} ({outcome.text})" for shard, outcome in silent.items())
            raise ShardsSilentError(f"no answer from {', '.join(reasons)}")
        owned = {
            shard: answer for shard, answer in zip(self._shards, answers, strict=True) if isinstance(answer, Ownership)
        }
        self._map = build_shard_map(self._shards, self._bucket_count, owned)

    async def _ask(self, shard: str) -> Ownership | Outcome:
        chunk = Chunk(
            self._dispatcher.ids.next(), Operation.DESCRIBE, now_ms() + ASK_TIMEOUT_MS, 0, 1, msgspec.msgpack.encode([])
        )
        (outcome,) = await self._dispatcher.dispatch([(shard, chunk)])
        if outcome.status != Status.OK:
            return outcome
        said = _decode(outcome.payload)
        return Ownership(said.shard, said.bucket_count, said.ranges)
