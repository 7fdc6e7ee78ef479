"""Knows which shards there are, which of them owns which bucket, and to which cluster they belong.

At start the api asks the shards for their buckets. A shard that refuses a bucket names its new shard, and the map is
corrected by that. All shards are asked again only if a shard does not know the bucket's shard, or names one that this
process does not know. In a cluster whose shards are added and removed, each shard announces all of them; the settings
name those that are asked first. The cluster is learnt once, before all this: from then on every frame carries its id,
and workers of another cluster that uses the same Redis refuse it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from api.queue.descriptions import Round, ask, ask_all
from api.queue.dispatcher import Dispatcher
from api.queue.errors import ShardsSilentError, TwoClustersError
from api.queue.greeting import instances_at
from protocol.announced import Address, Shards, in_order
from protocol.buckets import HoleError, OverlapError, Ownership, ShardMap, ShardMapError, build_shard_map
from protocol.frames import Outcome
from protocol.refusals import MOVING, refused_buckets
from protocol.settings import ClusterSettings, parse_shards

_log = logging.getLogger(__name__)

CLUSTER_ROUNDS = 3
"""How often all shards are asked for their cluster if their addresses cannot be reached from here: if two clusters use
one Redis, answers of both come."""


MAP_ROUNDS = 4
"""How often all shards are asked before a missing or doubled bucket counts as an error: a bucket that moves between two
answers is in neither of them, or in both."""

MAP_ROUND_S = 0.05

REFRESH_EVERY_S = 0.1
"""The shortest time between two rounds of questions to all shards, however many buckets are refused."""

WAIT_S = 0.02
"""Wait before the keys of a moving bucket are sent again: between half of this and this."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a refusal says of its buckets: those in `waits` are moving, or their shard is unknown.

    `unknown`: the shard of some is unknown, or the refusal names no bucket. All shards must be asked then.
    """

    waits: frozenset[int]
    unknown: bool


class Topology:
    """The shard map of this process. `map` exists only after the first `refresh`."""

    def __init__(self, dispatcher: Dispatcher, settings: ClusterSettings) -> None:
        self._dispatcher = dispatcher
        self._seeds: Shards = parse_shards(settings.shards)
        self._instances: Shards = self._seeds
        self._bucket_count = settings.bucket_count
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = float("-inf")
        self._map: ShardMap | None = None
        self.on_shards: Callable[[Sequence[str]], None] = lambda _: None
        """Called with the names of all shards when some were added or removed."""
        self.buckets_move = False
        """Whether buckets may move from shard to shard. If not, nothing has to be recorded by bucket."""

    @property
    def map(self) -> ShardMap:
        """The map, as the shards described it last."""
        if self._map is None:
            raise RuntimeError("the shard map is not loaded")
        return self._map

    @property
    def loaded(self) -> bool:
        """Whether the map exists."""
        return self._map is not None

    async def load(self, timeout_s: float) -> None:
        """Learn the cluster and the map for the first time; repeats the questions until every shard has answered.

        Raises:
            ShardMapError: the answers of the shards do not make one complete map.
            ShardsSilentError: some shards have not answered within `timeout_s`.
            TwoClustersError: two clusters have answered, and it is unknown which of them is this process's own.
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
        """Learn the map again; concurrent calls share one round of questions.

        A shard that does not answer keeps its buckets in the map, except those that another shard owns.

        Raises:
            ShardMapError, ShardsSilentError: as `load`; the map does not change.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh(), name="topology.refresh")
        await asyncio.shield(self._refreshing)

    async def try_refresh(self) -> None:
        """The same, but errors are logged."""
        try:
            await self.refresh()
        except (ShardMapError, ShardsSilentError, TwoClustersError) as error:
            _log.warning("the shard map could not be learnt again", extra={"error": str(error)})

    async def _refresh(self) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._refreshed_at + REFRESH_EVERY_S - clock()))
        self._refreshed_at = clock()
        if not self._dispatcher.cluster:
            self._dispatcher.cluster = await self._learn_cluster()
            _log.info("this api belongs to a cluster", extra={"cluster": self._dispatcher.cluster})
        for rounds_left in reversed(range(MAP_ROUNDS)):
            asked = await ask_all(self._dispatcher, self._instances)
            if not asked.said:
                raise ShardsSilentError(asked.no_answer())
            names = in_order(self._seeds, asked.shards)
            try:
                self.buckets_move = any(shard.moves for shard in asked.said.values())
                shard_map = build_shard_map(names, self._bucket_count, self._owned(asked))
            except (HoleError, OverlapError) as error:
                if asked.silent and isinstance(error, HoleError):
                    raise ShardsSilentError(asked.no_answer()) from error
                if rounds_left:
                    await asyncio.sleep(MAP_ROUND_S)
                    continue
                if isinstance(error, OverlapError):
                    _log.critical("two shards own one bucket", extra={"error": str(error)})
                raise
            self._use(shard_map, asked.shards)
            return

    def _owned(self, asked: Round) -> dict[str, Ownership]:
        """The buckets of each shard. One that does not answer keeps those that no other shard owns."""
        owned = {name: shard.ownership for name, shard in asked.said.items()}
        current = self._map
        for name in asked.silent if current is not None else ():
            kept = tuple((bucket, bucket) for bucket in current.buckets(name)) if current is not None else ()
            owned[name] = Ownership(name, self._bucket_count, (), kept)
        return owned

    def _use(self, shard_map: ShardMap, instances: Shards) -> None:
        before, self._map, self._instances = self._instances, shard_map, instances
        self._dispatcher.use(shard_map.shards, shard_map.holders)
        if before.keys() != instances.keys():
            come, gone = sorted(instances.keys() - before.keys()), sorted(before.keys() - instances.keys())
            _log.info("shards were added or removed", extra={"come": come, "gone": gone})
            self.on_shards(shard_map.shards)

    def learn(self, payload: Any) -> Lesson:
        """Correct the map by the payload of a refusal."""
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
            self._dispatcher.use(self._map.shards, self._map.holders)
        waits = frozenset(where.keys() - known.keys())
        return Lesson(waits, unknown=not where or any(where[bucket] is not MOVING for bucket in waits))

    async def _learn_cluster(self) -> str:
        """The id of the cluster whose shards have the addresses of this process's settings.

        Workers of any cluster may answer. The instance that answered shows whose answer it is: it must be one of those
        that listen at the shard's addresses. If these cannot be reached from here, all answers must agree.

        Raises:
            ShardsSilentError, TwoClustersError: as `load`.
        """
        found: set[str] = set()
        for _ in range(CLUSTER_ROUNDS):
            asked = await ask_all(self._dispatcher, self._seeds)
            if self._seeds.keys() & asked.silent.keys():
                raise ShardsSilentError(asked.no_answer())
            if not self._seeds.keys() & asked.said.keys():
                raise ShardsSilentError("no answer from any shard of TARANTKV_SHARDS that the others name")
            for name in filter(asked.said.__contains__, self._seeds):
                said = asked.said[name]
                if said.cluster is None:
                    raise ShardsSilentError(f"no answer from {name} (it belongs to no cluster yet)")
                instances = await instances_at(_addresses(self._seeds[name], asked.shards[name]))
                if instances is None:
                    found.add(said.cluster)
                elif said.instance in instances:
                    return said.cluster
                else:
                    # Workers of this process's own cluster may be starting.
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

    async def answers(self, shard: str, within_s: float) -> bool:
        """Whether a shard answers a question of this process within this many seconds.

        The answer also names the shards that there are; if they differ from those known, all are asked.

        Raises:
            Problem: 503, not admitted: the shard was not asked.
        """
        said = await ask(self._dispatcher, shard, int(within_s * 1000))
        if isinstance(said, Outcome):
            return False
        if said.shards is not None and said.shards != self._instances:
            await self.try_refresh()
        return True


def _addresses(seeds: Sequence[Address], announced: Sequence[Address]) -> Sequence[Address]:
    """All addresses of the shard that the settings mean; announced ones only if no other cluster has that shard."""
    return announced if set(seeds) <= set(announced) else seeds
