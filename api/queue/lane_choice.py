"""Which lane carries the chunks of which shard. It decides only: no input or output, no clock of its own.

Every shard has an order of all lanes, by rendezvous hashing: a new lane becomes the home of its share of the shards,
and no other shard moves. The first lane in a shard's order is its home. A lane that is out of order hands its shards to
the next in their orders. It has a shard back once it has been in order for a while and has carried an answer of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

HOME_AFTER_S = 5.0
"""For how long a lane must be in order before shards come back to it: longer than a worker needs to connect again."""


def order(shard: str, lanes: Sequence[str]) -> tuple[int, ...]:
    """The positions of the lanes, the shard's home first."""

    def weight(position: int) -> bytes:
        return blake2b(f"{shard}\0{lanes[position]}".encode(), digest_size=8).digest()

    return tuple(sorted(range(len(lanes)), key=weight, reverse=True))


class LaneChoice:
    """The lane of each shard. All times are on the caller's monotonic clock, in seconds.

    A lane is presumed to be up until it has failed: a shard must not begin on another one only because that one's
    connection was faster.
    """

    def __init__(self, lanes: Sequence[str], shards: Iterable[str] = ()) -> None:
        self.lanes = tuple(lanes)
        self._up = [True] * len(self.lanes)
        self._up_since = [float("-inf")] * len(self.lanes)
        self._mute: dict[tuple[str, int], float] = {}
        """Shards of which a lane carried no answers, with the time until which it is left out."""

        self._proven: dict[tuple[str, int], bool] = {}
        """Whether a lane that has failed has carried an answer of the shard since then; absent: it has not failed."""

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
        """All lanes, the shard's home first."""
        self.of(shard)
        return self._orders[shard]

    def shards(self) -> list[str]:
        """All shards that are known."""
        return list(self._now)

    def use(self, shards: Iterable[str]) -> None:
        """From now on these are the shards."""
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
        """A lane is connected again."""
        if not self._up[lane]:
            self._up[lane] = True
            self._up_since[lane] = now
            self.settle(now)

    def down(self, lane: int, now: float) -> None:
        """A lane has failed."""
        if self._up[lane]:
            self._up[lane] = False
            for shard in self._orders:
                self._proven[shard, lane] = False
            self.settle(now)

    def mute(self, shard: str, lane: int, now: float) -> None:
        """A lane carries no answers of a shard, though it is connected."""
        self._mute[shard, lane] = now + HOME_AFTER_S
        self._proven[shard, lane] = False
        self.settle(now)

    def prove(self, shard: str, lane: int) -> None:
        """A lane has carried an answer of a shard."""
        if (shard, lane) in self._proven:
            self._proven[shard, lane] = True

    def unproven(self, shard: str) -> list[int]:
        """The lanes, better than the shard's present one, that have to carry an answer before it comes back."""
        ahead = self.order_of(shard)[: self._orders[shard].index(self._now[shard])]
        return [lane for lane in ahead if self._up[lane] and self._proven.get((shard, lane)) is False]

    def settle(self, now: float, shards: Iterable[str] | None = None) -> None:
        """Choose again; call it now and then, as time alone brings shards home."""
        for shard in tuple(self._orders) if shards is None else shards:
            candidates = self._orders[shard]
            current = self._now[shard]
            chosen: int | None = None
            for fits in (self._is_steady, self._is_usable, self._is_connected):
                chosen = next((lane for lane in candidates if fits(shard, lane, now)), None)
                if chosen is not None:
                    break
            # Where no lane is in order the shard stays where it is: one is as good as another.
            self._now[shard] = current if chosen is None else chosen

    def _is_steady(self, shard: str, lane: int, now: float) -> bool:
        """Whether it has been in order for long enough, or a shard is there already and need not leave."""
        if lane == self._now[shard] and self._is_usable(shard, lane, now):
            return True
        proven = self._proven.get((shard, lane), True)
        return self._is_usable(shard, lane, now) and proven and now - self._up_since[lane] >= HOME_AFTER_S

    def _is_usable(self, shard: str, lane: int, now: float) -> bool:
        return self._up[lane] and self._mute.get((shard, lane), float("-inf")) <= now

    def _is_connected(self, shard: str, lane: int, now: float) -> bool:  # noqa: ARG002 - one form for all three
        return self._up[lane]
