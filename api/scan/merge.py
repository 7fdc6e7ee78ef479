"""Merges the answers of the shards into one order, that of the keys' bytes, and knows how far it has come."""

from __future__ import annotations

import asyncio
import random
from math import isqrt
from operator import attrgetter
from typing import NamedTuple, Protocol

from api.http.problems import Kind, Problem
from api.queue.pending import Caller
from api.scan.failures import failed, moved
from api.scan.ownership import fault_of
from api.scan.selection import Selection
from api.scan.shards import Failure
from protocol.buckets import ShardMap
from protocol.scans import MAX_BYTES, MAX_LOOKED_AT, Asked, Item, Piece, Ranges, State

MAX_MOVES = 5
"""How often a page is read again because buckets have moved."""

AHEAD_KEYS = 500
"""Keys that a shard is asked for at a time if the next page uses the keys that are left over."""

MOVE_WAIT_S = 0.05
"""The wait before the first repetition; each further wait is twice as long."""

_key = attrgetter("key")


class Shards(Protocol):
    """Returns pieces of scans."""

    async def ask(self, shard: str, asked: Asked, caller: Caller, until: float) -> tuple[Piece, int] | Failure:
        """The next piece of a shard, and its size in bytes."""


class Maps(Protocol):
    """Knows which shards own buckets."""

    @property
    def map(self) -> ShardMap:
        """The map, as far as it is known."""

    async def try_refresh(self) -> None:
        """Learn the map again."""


class Limits(NamedTuple):
    """What one reading may take: keys, bytes of values, and time, by the loop's clock.

    From `enough` on it ends with fewer keys, if it has any progress. `ahead`: the next reading uses the keys that are
    left over, so shards may be asked for more than this one needs.
    """

    keys: int
    value_bytes: int
    enough: float
    until: float
    ahead: bool = False


class _Lane:
    """The answer of one shard that the merge has not used yet. `covered` is how far the shard has looked."""

    __slots__ = ("at", "covered", "items", "more", "ranges", "shard", "size")

    def __init__(self, shard: str) -> None:
        self.shard = shard
        self.forget()

    def forget(self) -> None:
        self.items: list[Item] = []
        self.at = self.size = 0
        self.more = True
        self.covered: bytes | None = None
        self.ranges: Ranges | None = None

    @property
    def empty(self) -> bool:
        return self.at == len(self.items)

    def take(self, piece: Piece, size: int) -> None:
        self.items, self.at, self.size = piece.items, 0, size
        self.more = piece.state == State.MORE
        self.covered, self.ranges = piece.position, piece.ranges

    def up_to(self, place: bytes, *, reverse: bool) -> int:
        """The end of the items up to a place: their keys rise, or fall if `reverse`."""
        low, high = self.at, len(self.items)
        while low < high:
            middle = (low + high) // 2
            key = self.items[middle].key.encode()
            if key >= place if reverse else key <= place:
                low = middle + 1
            else:
                high = middle
        return low


class Merge:
    """One scan over all shards. Everything up to `position` has been returned; `complete`: nothing is left."""

    def __init__(
        self, shards: Shards, maps: Maps, selection: Selection, position: bytes | None, caller: Caller
    ) -> None:
        self._shards = shards
        self._maps = maps
        self._selection = selection
        self._buckets = selection.buckets(maps.map.bucket_count)
        self._caller = caller
        self._lanes = [_Lane(shard) for shard in maps.map.holders]
        self._checked: list[Ranges | None] = []
        self.position = position
        self.complete = False

    @property
    def held(self) -> int:
        """Bytes of answers that are kept for the next reading."""
        return sum(lane.size for lane in self._lanes if not lane.empty)

    async def read(self, limits: Limits) -> list[Item]:
        """The next items in order; an empty list while not complete if none was found in time.

        Raises:
            Problem: 500 or 503, a shard did not answer in time, or buckets move again and again.
        """
        loop = asyncio.get_running_loop()
        if self._maps.map.holders != tuple(lane.shard for lane in self._lanes):
            # Shards were added or removed since the last reading.
            self._begin_again()
        items: list[Item] = []
        size, began = 0, self.position
        while not self.complete and len(items) < limits.keys and size < limits.value_bytes:
            if self.position != began and loop.time() >= limits.enough:
                break
            try:
                await self._agree(limits, limits.keys - len(items))
            except Problem:
                if self.position == began:
                    raise
                # The items here are taken already, and would be lost. The next reading will report the failure.
                break
            some, some_bytes = self._take(limits.keys - len(items), limits.value_bytes - size, first=not items)
            if some is None:
                break
            items += some
            size += some_bytes
        return items

    async def _agree(self, limits: Limits, wanted: int) -> None:
        """Get answers that cover every bucket exactly once; ask all shards again if they do not."""
        moves, fault = 0, None
        while True:
            try:
                await self._fill(limits, wanted)
            except Problem as problem:
                if fault is None or problem.kind is not Kind.OVERLOADED:
                    raise
                # The time has passed because it had to read again.
                raise moved(fault) from problem
            fault = self._fault()
            if fault is None:
                return
            # Half as long again at most, so that readers of the same move do not return together.
            wait_s = MOVE_WAIT_S * 2**moves * (1 + random.random() / 2)  # noqa: S311 - jitter is no secret
            if moves == MAX_MOVES or asyncio.get_running_loop().time() + wait_s >= limits.until:
                raise moved(fault)
            await asyncio.sleep(wait_s)
            # A shard may have got its first bucket.
            await self._maps.try_refresh()
            self._begin_again()
            moves += 1

    def _begin_again(self) -> None:
        """Begin again with the shards that own buckets now, from where the merge is."""
        self._lanes = [_Lane(shard) for shard in self._maps.map.holders]
        self._checked = []

    async def _fill(self, limits: Limits, wanted: int) -> None:
        """Ask every shard that has more keys and whose last answer is used up."""
        open_lanes = [lane for lane in self._lanes if lane.empty and lane.more]
        if not open_lanes:
            return
        keys = AHEAD_KEYS
        if not limits.ahead:
            # Its share, and twice the usual deviation from it: then few pages need a second round.
            share = -(-wanted // len(self._lanes))
            keys = min(wanted, share + 2 * isqrt(share) + 1, MAX_LOOKED_AT)
        answers = await asyncio.gather(
            *(self._shards.ask(lane.shard, self._asked(lane, keys), self._caller, limits.until) for lane in open_lanes)
        )
        failures = []
        for lane, answer in zip(open_lanes, answers, strict=True):
            if isinstance(answer, Failure):
                failures.append(answer)
            else:
                lane.take(*answer)
        if failures:
            raise failed(failures)

    def _asked(self, lane: _Lane, keys: int) -> Asked:
        selection = self._selection
        after = self.position if lane.covered is None else lane.covered
        lower, upper, reverse = selection.lower, selection.upper, selection.reverse
        included = True
        if after is not None:
            if reverse:
                upper = after
            else:
                lower, included = after, False
        first, last = self._buckets
        return Asked(lower, included, upper, False, reverse, keys, selection.values, MAX_BYTES, first, last)

    def _fault(self) -> str | None:
        """What is wrong with the buckets that the answers cover."""
        claims = [lane.ranges for lane in self._lanes]
        if claims == self._checked:
            return None
        fault = fault_of((claim or () for claim in claims), *self._buckets)
        if fault is None:
            self._checked = claims
        return fault

    def _take(self, keys: int, value_bytes: int, *, first: bool) -> tuple[list[Item] | None, int]:
        """Take the items that are in order: up to where every shard has looked. Returns them, and the size of their
        values.

        None: the next item is too large; for the `first` one of a page there is no limit.
        """
        reverse = self._selection.reverse
        open_places = [lane.covered for lane in self._lanes if lane.more and lane.covered is not None]
        place = (max if reverse else min)(open_places) if open_places else None
        items: list[Item] = []
        for lane in self._lanes:
            end = len(lane.items) if place is None else lane.up_to(place, reverse=reverse)
            items += lane.items[lane.at : end]
        # The sort only merges, because the items are in sorted runs.
        items.sort(key=_key, reverse=reverse)
        kept, size = _within(items, keys, value_bytes, first=first)
        if items and not kept:
            return None, 0
        if kept < len(items):
            del items[kept:]
            place = items[-1].key.encode()
        elif place is None and items:
            place = items[-1].key.encode()
        if place is not None:
            self.position = place
        for lane in self._lanes:
            lane.at = len(lane.items) if place is None else lane.up_to(place, reverse=reverse)
        self.complete = not any(lane.more or not lane.empty for lane in self._lanes)
        return items, size


def _within(items: list[Item], keys: int, value_bytes: int, *, first: bool) -> tuple[int, int]:
    """How many of the items fit into a number and a size, at least one if it is the `first`; and their size in
    bytes.
    """
    size = 0
    for count, item in enumerate(items[:keys]):
        value = memoryview(item.value).nbytes
        if size + value > value_bytes and (count or not first):
            return count, size
        size += value
    return min(len(items), keys), size
