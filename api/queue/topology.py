"""Which shard owns which bucket, and to which cluster the shards belong.

The shards are asked for their buckets at start. When one refuses a bucket it says where that has gone, and the map is
mended from that; all are asked again only where a shard does not know. The cluster is learnt once, before all that:
from then on every frame carries its id, and workers of another cluster that uses the same Redis refuse it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from api.queue.dispatcher import Dispatcher
from api.queue.errors import ShardsSilentError, TwoClustersError
from api.queue.greeting import instances_at
from protocol.buckets import HoleError, OverlapError, Ownership, ShardMap, build_shard_map
from protocol.clock import now_ms
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.refusals import MOVING, refused_buckets
from protocol.settings import ClusterSettings, parse_shards

_log = logging.getLogger(__name__)

ASK_TIMEOUT_MS = 2000

CLUSTER_ROUNDS = 3
"""How often all shards are asked for their cluster where their addresses cannot be reached from here: if two clusters
use one Redis, answers of both come."""


MAP_ROUNDS = 4
"""How often all shards are asked before a hole or an overlap of their buckets is believed: a bucket that moves between
two answers is in neither, or in both."""

MAP_ROUND_S = 0.05

WAIT_S = 0.02
"""After so long at most, and half of it at least, a bucket that is on its way is asked for again."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a refusal tells of its buckets: those in `waits` are on their way, or nobody knows where.

    `unknown`: some of the latter, or the refusal names none. All shards are to be asked then.
    """

    waits: frozenset[int]
    unknown: bool


class _Description(msgspec.Struct, frozen=True):
    shard: str
    bucket_count: int
    ranges: tuple[tuple[int, int], ...]
    instance: str = ""
    cluster: str | None = None
    moving: tuple[tuple[int, int], ...] = ()
    moves: bool = False


_decode = msgspec.msgpack.Decoder(_Description).decode


class Topology:
    """The shard map of this process. `map` is only there after the first `refresh`."""

    def __init__(self, dispatcher: Dispatcher, settings: ClusterSettings) -> None:
        self._dispatcher = dispatcher
        self._instances = parse_shards(settings.shards)
        self._shards: Sequence[str] = tuple(self._instances)
        self._bucket_count = settings.bucket_count
        self._refreshing: asyncio.Task[None] | None = None
        self._map: ShardMap | None = None
        self.buckets_move = False
        """Whether buckets may move from shard to shard. Where they may not, nothing has to be recorded by bucket."""

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
        """Learn the cluster and the map for the first time, asking again until every shard has answered.

        Raises:
            ShardMapError: the shards' accounts do not make one whole map.
            ShardsSilentError: some shards have not answered within `timeout_s`.
            TwoClustersError: two clusters have answered, and neither is known to be this process's own.
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
        if not self._dispatcher.cluster:
            self._dispatcher.cluster = await self._learn_cluster()
            _log.info("belongs to a cluster", extra={"cluster": self._dispatcher.cluster})
        for rounds_left in reversed(range(MAP_ROUNDS)):
            said = await self._ask_all()
            owned = {
                name: Ownership(shard.shard, shard.bucket_count, shard.ranges, shard.moving)
                for name, shard in said.items()
            }
            try:
                self.buckets_move = any(shard.moves for shard in said.values())
                self._map = build_shard_map(self._shards, self._bucket_count, owned)
            except (HoleError, OverlapError) as error:
                if rounds_left:
                    await asyncio.sleep(MAP_ROUND_S)
                    continue
                if isinstance(error, OverlapError):
                    _log.critical("two shards own one bucket", extra={"error": str(error)})
                raise
            return

    def learn(self, payload: Any) -> Lesson:
        """Mend the map from the payload of a refusal."""
        where = refused_buckets(payload)
        current = self.map
        known = {
            bucket: shard
            for bucket, shard in where.items()
            if isinstance(shard, str) and shard in current.shards and 1 <= bucket <= current.bucket_count
        }
        moved = {bucket: shard for bucket, shard in known.items() if current.owner(bucket) != shard}
        if moved:
            self._map = current.moved(moved)
        waits = frozenset(where.keys() - known.keys())
        return Lesson(waits, unknown=not where or any(where[bucket] is not MOVING for bucket in waits))

    async def _learn_cluster(self) -> str:
        """The id of the cluster whose shards have the addresses of this process's settings.

        Workers of any cluster may answer. Whose answer it is shows at the instance that answered: it must be one of
        those that listen at the shard's addresses. Where these cannot be reached from here, all answers must agree.

        Raises:
            ShardsSilentError, TwoClustersError: as `load`.
        """
        found: set[str] = set()
        for _ in range(CLUSTER_ROUNDS):
            for name, said in (await self._ask_all()).items():
                if said.cluster is None:
                    raise ShardsSilentError(f"no answer from {name} (it belongs to no cluster yet)")
                instances = await instances_at(self._instances[name])
                if instances is None:
                    found.add(said.cluster)
                elif said.instance in instances:
                    return said.cluster
                else:
                    # Workers of the own cluster may be about to start.
                    raise ShardsSilentError(
                        f"no answer from {name} (a worker of cluster {said.cluster} answered for another instance than "
                        "is at the shard's address: two clusters use one Redis)"
                    )
        if len(found) > 1:
            raise TwoClustersError(
                f"workers of the clusters {' and '.join(sorted(found))} answer: two clusters use one Redis, and the "
                "addresses in TARANTKV_SHARDS cannot be reached from here to see which one is meant"
            )
        return found.pop()

    async def _ask_all(self) -> dict[str, _Description]:
        answers = await asyncio.gather(*map(self._ask, self._shards))
        by_shard = dict(zip(self._shards, answers, strict=True))
        silent = [f"{shard} ({said.text})" for shard, said in by_shard.items() if isinstance(said, Outcome)]
        if silent:
            raise ShardsSilentError(f"no answer from {', '.join(silent)}")
        return {shard: said for shard, said in by_shard.items() if isinstance(said, _Description)}

    async def answers(self, shard: str, within_s: float) -> bool:
        """Whether a shard answers a question of this process within so many seconds.

        Raises:
            Problem: 503, not admitted: the shard was not asked.
        """
        return (await self._describe(shard, int(within_s * 1000))).status == Status.OK

    async def _ask(self, shard: str) -> _Description | Outcome:
        outcome = await self._describe(shard, ASK_TIMEOUT_MS)
        return _decode(outcome.payload) if outcome.status == Status.OK else outcome

    async def _describe(self, shard: str, timeout_ms: int) -> Outcome:
        chunk = Chunk(
            self._dispatcher.ids.next(), Operation.DESCRIBE, now_ms() + timeout_ms, 0, 1, msgspec.msgpack.encode([])
        )
        (outcome,) = await self._dispatcher.dispatch([(shard, chunk)])
        return outcome
