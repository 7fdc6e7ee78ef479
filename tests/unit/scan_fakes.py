"""Shards in memory that give pieces of scans as real ones do, and whose buckets a test can move."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from api.queue.pending import Caller
from api.scan.merge import Limits, Merge
from api.scan.selection import Selection
from api.scan.shards import Failure
from protocol.buckets import ShardMap, bucket_of
from protocol.scans import Asked, Item, Piece, State

BUCKETS = 12
VALUE = msgspec.Raw(b"\x01")


class FakeShards:
    """Some shards; `owner` tells the index of the shard that owns a bucket, `at_most` how many keys one piece has."""

    def __init__(self, shards: int, keys: Iterable[str], at_most: int = 1000) -> None:
        self.names = tuple(f"s{number}" for number in range(shards))
        self.keys = dict.fromkeys(keys, VALUE)
        self.owner: Callable[[int], int] = lambda bucket: bucket % shards
        self.at_most = at_most
        self.asked: list[tuple[str, Asked]] = []
        self.before: Callable[[int], Any] = lambda _: None
        """Called with the number of each question before it is answered."""
        self.failing: dict[str, Failure] = {}

    have_others = False

    @property
    def map(self) -> ShardMap:
        return ShardMap(self.names, BUCKETS, tuple(max(0, self.owner(bucket)) for bucket in range(BUCKETS + 1)))

    async def try_refresh(self) -> None:
        """Do nothing: the map is always right."""

    async def ask(self, shard: str, asked: Asked, caller: Caller | None, *_: object) -> tuple[Piece, int] | Failure:
        self.before(len(self.asked))
        self.asked.append((shard, asked))
        await asyncio.sleep(0)
        if shard in self.failing:
            return self.failing[shard]
        index = self.names.index(shard)
        owned = [bucket for bucket in range(1, BUCKETS + 1) if self.owner(bucket) == index]
        here = sorted(
            (key.encode() for key in self.keys if bucket_of(key.encode(), BUCKETS) in owned), reverse=asked.reverse
        )
        inside = [key for key in here if _within(key, asked)]
        seen = inside[: min(asked.limit, self.at_most)]
        items = [
            Item(key.decode(), bucket, self.keys[key.decode()], 7)
            for key in seen
            if asked.first_bucket <= (bucket := bucket_of(key, BUCKETS)) <= asked.last_bucket
        ]
        more = len(inside) > len(seen)
        ranges = tuple((bucket, bucket) for bucket in owned)
        if caller is not None and caller.take is not None:
            caller.take(10)
        return Piece(State.MORE if more else State.DONE, 0.0, ranges, seen[-1] if more else None, items), 10

    def merge(self, selection: Selection = Selection(), position: bytes | None = None) -> Merge:  # noqa: B008
        return Merge(self, self, selection, position, None)  # type: ignore[arg-type]  # nobody is asked for


def _within(key: bytes, asked: Asked) -> bool:
    lower, upper = asked.lower, asked.upper
    return (lower is None or key > lower or (key == lower and asked.lower_included)) and (
        upper is None or key < upper or (key == upper and asked.upper_included)
    )


def limits(keys: int = 10_000, value_bytes: int = 1 << 24, *, ahead: bool = False) -> Limits:
    """Limits of one reading, with enough time."""
    now = asyncio.get_running_loop().time()
    return Limits(keys, value_bytes, now + 10, now + 20, ahead)


async def everything(merge: Merge, keys: int, *, ahead: bool = False, at_most: int = 10_000) -> list[str]:
    """All keys of a merge, read a few at a time."""
    found: list[str] = []
    for _ in range(at_most):
        page = await merge.read(limits(keys, ahead=ahead))
        assert len(page) <= keys
        found += [item.key for item in page]
        if merge.complete:
            return found
    raise AssertionError("the scan does not end")
