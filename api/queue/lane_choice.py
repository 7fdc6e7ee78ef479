"""Decides which lane carries the chunks of which shard. It has no input or output and no clock of its own.

Every shard has an order of all lanes, by rendezvous hashing, so a new lane becomes the home of its share of the shards
and no other shard moves. The first lane in a shard's order is its home. If a lane fails, its shards use the next lanes
in their orders. A shard returns to a lane that has worked for some time and has carried an answer of that shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

HOME_AFTER_S = 5.0
"""How long a lane must have worked before shards return to it: longer than a worker needs to connect again."""


def order(shard: str, lanes: Sequence[str]) -> tuple[int, ...]:
    """The positions of the lanes, the shard's home first."""

    def weight(position: int) -> bytes:
        return blake2b(f"{shard}\0{lanes[position]}".encode(), digest_size=8).digest()

    return tuple(sorted(range(len(lanes)), key=weight, reverse=True))


class LaneChoice:
    """Knows the lane of each shard. All times are on the caller's monotonic clock, in seconds.

    A lane counts as working until it has failed: otherwise shards would start on another lane only because its
    connection was made first.
    """

    def __init__(self, lanes: Sequence[str], shards: Iterable[str] = ()) -> None:
        self.lanes = tuple(lanes)
        self._up = [True] * len(self.lanes)
        self._up_since = [float("-inf")] * len(self.lanes)
        self._mute: dict[tuple[str, int], float] = {}
        """For a shard and a lane that carried no answers of it: the time until which the shard does not use this
        lane."""

        self._proven: dict[tuple[str, int], bool] = {}
        """Whether a lane that has failed has carried an answer of the shard since then; absent: the lane has not
        failed."""

        self._orders: dict[str, tuple[int, ...]] = {}
        self._now: dict[str, int] = {}
        for shard in shards:
            self.of(shard)

    def is_up(self, lane: int) -> bool:
        """Whether a lane is connected, as far as is known."""
        return self._up[lane]

    def of(self, shard: str) -> int:
        """The position of the lane that carries a shard's new chunks."""
        lane = self._now.get(shard)
        if lane is None:
            self._orders[shard] = order(shard, self.lanes)
            lane = self._now[shard] = self._orders[shard][0]
            self.settle(float("-inf"), (shard,))
            lane = self._now[shard]
        return lane

    def order_of(self, shard: str) -> Sequence[int]:
        """The positions of all lanes, the shard's home first."""
        self.of(shard)
        return self._orders[shard]

    def shards(self) -> list[str]:
        """All shards that are known."""
        return list(self._now)

    def use(self, shards: Iterable[str]) -> None:
        """Set the shards."""
        wanted = frozenset(shards)
        for shard in self._now.keys() - wanted:
            del self._now[shard], self._orders[shard]
        for notes in (self._mute, self._proven):
            for key in [key for key in notes if key[0] not in wanted]:
                del notes[key]
        for shard in wanted:
            self.of(shard)

    def shards_of(self, lane: int) -> list[str]:
        """The shards that a lane carries."""
        return [shard for shard, carrier in self._now.items() if carrier == lane]

    def up(self, lane: int, now: float) -> None:
        """Note that a lane is connected again."""
        if not self._up[lane]:
            self._up[lane] = True
            self._up_since[lane] = now
            self.settle(now)

    def down(self, lane: int, now: float) -> None:
        """Note that a lane has failed."""
        if self._up[lane]:
            self._up[lane] = False
            for shard in self._orders:
                self._proven[shard, lane] = False
            self.settle(now)

    def mute(self, shard: str, lane: int, now: float) -> None:
        """Note that a lane carries no answers of a shard, although it is connected."""
        self._mute[shard, lane] = now + HOME_AFTER_S
        self._proven[shard, lane] = False
        self.settle(now)

    def prove(self, shard: str, lane: int) -> None:
        """Note that a lane has carried an answer of a shard."""
        if (shard, lane) in self._proven:
            self._proven[shard, lane] = True

    def unproven(self, shard: str) -> list[int]:
        """The lanes, earlier in the shard's order than its present one, that must carry an answer before the shard
        returns.
        """
        ahead = self.order_of(shard)[: self._orders[shard].index(self._now[shard])]
        return [lane for lane in ahead if self._up[lane] and self._proven.get((shard, lane)) is False]

    def settle(self, now: float, shards: Iterable[str] | None = None) -> None:
        """Choose the lanes again. Call it regularly: shards return to their lanes after some time."""
        for shard in tuple(self._orders) if shards is None else shards:
            candidates = self._orders[shard]
            current = self._now[shard]
            chosen: int | None = None
            for fits in (self._is_steady, self._is_usable, self._is_connected):
                chosen = next((lane for lane in candidates if fits(shard, lane, now)), None)
                if chosen is not None:
                    break
            # If no lane works, the shard stays where it is: no lane is better than another.
            self._now[shard] = current if chosen is None else chosen

    def _is_steady(self, shard: str, lane: int, now: float) -> bool:
        """Whether it has worked for long enough, or is the shard's present lane and still usable."""
        if lane == self._now[shard] and self._is_usable(shard, lane, now):
            return True
        proven = self._proven.get((shard, lane), True)
        return self._is_usable(shard, lane, now) and proven and now - self._up_since[lane] >= HOME_AFTER_S

    def _is_usable(self, shard: str, lane: int, now: float) -> bool:
        return self._up[lane] and self._mute.get((shard, lane), float("-inf")) <= now

    def _is_connected(self, shard: str, lane: int, now: float) -> bool:  # noqa: ARG002 - one form for all three
        return self._up[lane]
