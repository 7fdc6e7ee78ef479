"""Shards in this process whose buckets move, for tests of the code that follows the moves."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from api.queue.chunk_ids import ChunkIds
from api.queue.dispatcher import Dispatcher
from api.queue.topology import Topology
from protocol.frames import Chunk, Outcome
from protocol.operations import Operation, Status
from protocol.refusals import MOVING, Where
from protocol.settings import ClusterSettings

SHARDS = ("s1", "s2")
BUCKETS = 10

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


class MovingShards:
    """As dispatcher. `where[shard][bucket]` is a shard's answer for a bucket that it must not use; it owns all others.

    `on_dispatch` is called with the shards and chunks before each is judged.
    """

    cluster = "c"

    def __init__(self, where: dict[str, dict[int, Where]], *, moves: bool = False) -> None:
        self.where = where
        self.moves = moves
        self.ids = ChunkIds(SHARDS)
        self.sent: list[tuple[str, Chunk]] = []
        self.announced: dict[str, list[tuple[str, int]]] | None = None
        self.silent: set[str] = set()
        """Shards that answer nothing."""
        self.shards: list[str] = []
        """All shards, as far as the api has been told."""
        self.placed: list[str] = []
        """The shards that own buckets."""
        self.asked = 0
        """How often all shards were asked for their buckets."""
        self.on_dispatch: Callable[[], None] = lambda: None

    async def dispatch(self, parts: Sequence[tuple[str, Chunk]], *_: object) -> list[Outcome]:
        await asyncio.sleep(0)
        return [self._run(shard, chunk) for shard, chunk in parts]

    def use(self, shards: Sequence[str], placed: Sequence[str]) -> None:
        self.shards, self.placed = list(shards), list(placed)

    def _run(self, shard: str, chunk: Chunk) -> Outcome:
        if shard in self.silent:
            return Outcome(chunk.id, Status.UNREACHABLE, "down")
        if chunk.operation == Operation.DESCRIBE:
            self.asked += shard == SHARDS[0]
            return Outcome(chunk.id, Status.OK, pack(self.described(shard)))
        self.on_dispatch()
        self.sent.append((shard, chunk))
        refused = {bucket: self.where[shard][bucket] for bucket in buckets_of(chunk) if bucket in self.where[shard]}
        if refused:
            return Outcome(chunk.id, Status.WRONG_BUCKET, pack(list(refused.items())))
        if chunk.operation == Operation.KEYED:
            return Outcome(chunk.id, Status.OK, pack([[bucket] for bucket in buckets_of(chunk)]))
        return Outcome(chunk.id, Status.OK, b"")

    def described(self, shard: str) -> dict[str, Any]:
        """The answer of DESCRIBE."""
        lacks = self.where[shard]
        return {
            "shard": shard,
            "bucket_count": BUCKETS,
            "ranges": [(bucket, bucket) for bucket in range(1, BUCKETS + 1) if bucket not in lacks],
            "moving": [(bucket, bucket) for bucket, where in lacks.items() if where is MOVING],
            "cluster": "c",
            "moves": self.moves,
            **({"shards": self.announced} if self.announced else {}),
        }


def buckets_of(chunk: Chunk) -> list[int]:
    """The buckets of a read, a delete, a change by buckets, or of an operation on one bucket."""
    if chunk.operation == Operation.KEYED:
        return list(unpack(chunk.body[17:])[::2])
    first, *rest = unpack(chunk.body)
    return list(rest[0]) if isinstance(first, list) else [first]


def first_half_on_s1() -> dict[str, dict[int, Where]]:
    return {"s1": dict.fromkeys(range(6, 11), "s2"), "s2": dict.fromkeys(range(1, 6), "s1")}


async def loaded(shards: MovingShards) -> Topology:
    """The map according to the shards' present answers."""
    settings = SimpleNamespace(shards="s1=a:1;s2=b:2", bucket_count=BUCKETS)
    topology = Topology(cast("Dispatcher", shards), cast("ClusterSettings", settings))
    await topology.load(1.0)
    return topology
