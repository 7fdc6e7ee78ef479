"""All lanes of an api process: gives each chunk to the lane of its shard, and to another one when that fails.

`lane_choice` decides which lane a shard uses; this module moves the chunks. A chunk that was moved has two copies. The
shard's records make that safe, and `Pending.believed` sees that the outcome of one copy is not reported as final too
early.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

from api.queue.lane import Lane
from api.queue.lane_choice import LaneChoice, order
from api.queue.outgoing import Outgoing
from api.queue.pending import Observer, Pending, PendingChunks
from protocol.settings import RedisSettings

_log = logging.getLogger(__name__)


class LaneView(NamedTuple):
    """A lane: its name, whether it works as far as is known, its shards, and how many frames this process has sent on
    it.
    """

    name: str
    up: bool
    shards: Sequence[str]
    frames: int = 0


class Lanes:
    """The lanes, in the order of the settings."""

    def __init__(
        self,
        settings: RedisSettings,
        process: str,
        shards: Sequence[str],
        pending: PendingChunks,
        observer: Observer,
    ) -> None:
        self._observer = observer
        each = settings.lanes
        self.choice = LaneChoice([one.address.name for one in each], shards)
        self.moved_at: dict[str, float] = {}
        """When chunks of a shard were last moved to its lane, on the monotonic clock."""

        self.all = [
            Lane(
                one,
                process,
                shards,
                pending,
                observer,
                began=partial(self._began, position),
                others=_OtherLanes(self, position) if len(each) > 1 else None,
            )
            for position, one in enumerate(each)
        ]
        self._only = self.all[0].sender if len(self.all) == 1 else None
        self._login_order = order("", self.choice.lanes)

    @property
    def several(self) -> bool:
        """Whether there is more than one lane."""
        return self._only is None

    @property
    def connected(self) -> bool:
        """Whether some lane works, as far as is known."""
        return any(lane.connected for lane in self.all)

    def views(self) -> list[LaneView]:
        """Every lane as this process sees it."""
        carried = [self.choice.shards_of(position) for position in range(len(self.all))]
        return [
            LaneView(lane.name, lane.connected, shards, lane.outgoing.frames_made)
            for lane, shards in zip(self.all, carried, strict=True)
        ]

    def for_logins(self) -> list[RedisSettings]:
        """Where to count failed logins: all processes prefer the same lane, and use the others if it has failed."""
        usable_first = sorted(self._login_order, key=lambda position: not self.choice.is_up(position))
        return [self.all[position].settings for position in usable_first]

    def add(self, chunks: Sequence[Pending]) -> None:
        """Queue each chunk for the lane of its shard, and send soon."""
        if self._only is not None:
            self._only.add(chunks)
            return
        by_lane: dict[int, list[Pending]] = {}
        for pending in chunks:
            by_lane.setdefault(self.choice.of(pending.shard), []).append(pending)
        for position, some in by_lane.items():
            self.all[position].sender.add(some)

    def tick(self) -> None:
        """Let shards return to lanes that have worked for long enough; call this some times a second."""
        if self.several:
            self.choice.settle(time.monotonic())

    def mute(self, shard: str, position: int) -> None:
        """Move a shard and its waiting chunks to another lane, because its answers do not come through this one."""
        self.choice.mute(shard, position, time.monotonic())
        self._move([each for each in self.all[position].outgoing.waiting() if each.shard == shard])
        lane = self.all[position].name
        _log.warning("a lane carries no answers of a shard", extra={"lane": lane, "shard": shard})

    def broke(self, position: int) -> None:
        """Note that a lane has failed, and move its waiting chunks to other lanes."""
        if self.choice.is_up(position):
            shards = self.choice.shards_of(position)
            self.choice.down(position, time.monotonic())
            _log.warning("a lane has failed", extra={"lane": self.all[position].name, "shards": shards})
        self._rescue()

    def can_take_over(self, position: int) -> bool:
        """Whether another lane can take chunks that this one cannot."""
        return any(self.choice.is_up(other) for other in range(len(self.all)) if other != position)

    def _began(self, position: int) -> None:
        if not self.several or not self.all[position].connected:
            return
        if not self.choice.is_up(position):
            self.choice.up(position, time.monotonic())
            _log.info("a lane is back", extra={"lane": self.all[position].name})
        self._rescue()

    def _rescue(self) -> None:
        """Move the waiting chunks of lanes that have failed."""
        for position, lane in enumerate(self.all):
            if not self.choice.is_up(position):
                self._move(lane.outgoing.waiting())

    def _move(self, chunks: Sequence[Pending]) -> None:
        """Move chunks, all of one lane, to the lanes of their shards."""
        moved = [each for each in chunks if each.outgoing is not self.all[self.choice.of(each.shard)].outgoing]
        if not moved:
            return
        before = cast("Outgoing", moved[0].outgoing)
        now = time.monotonic()
        self.moved_at.update((each.shard, now) for each in moved)
        self.add(moved)
        before.forget_moved()
        self._observer.resent(sum(1 for each in moved if each.sends))


class _OtherLanes:
    """The other lanes, as the one at `position` sees them."""

    def __init__(self, lanes: Lanes, position: int) -> None:
        self._lanes = lanes
        self._position = position

    def take_over(self) -> None:
        """Move the waiting chunks to other lanes."""
        self._lanes.broke(self._position)

    def can_take_over(self) -> bool:
        """Whether another lane can take chunks that this one cannot."""
        return self._lanes.can_take_over(self._position)
