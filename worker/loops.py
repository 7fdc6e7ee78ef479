"""Owns the loops of a worker, one for each shard and lane.

It starts those of new shards, gives loops their shards' present addresses, and ends the loops of a removed shard when
they have got no frames for some time: an api learns of the removal later than a worker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from protocol.announced import Address, Shards
from worker.errors import WrongInstanceError

_log = logging.getLogger(__name__)

LINGER_S = 10.0
"""A loop of a removed shard continues for this long after its last frame. The api asks the shards every two seconds."""

BEAT_S = 1.0
"""How often a worker shows that it is healthy while its loops end."""

AGAIN_S = 5.0
"""How long after its end a loop is tried again whose shard was announced at an address of another instance."""


class LoopKey(NamedTuple):
    """The shard of a loop, and the position of its lane."""

    shard: str
    lane: int = 0


class Loop(Protocol):
    """A thread that reads one stream."""

    name: str
    failure: BaseException | None
    last_turn: float
    last_frame: float
    """When it last got a frame, on the monotonic clock."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def join(self, timeout: float | None = None) -> None: ...

    def is_alive(self) -> bool: ...

    def update(self, instances: Sequence[Address], position: int) -> None:
        """Set the addresses of the shard's instances, and the shard's position among all shards."""


Make = Callable[[LoopKey, Sequence[Address], int], Loop]
"""Makes the loop of a key, with its shard's instances and position."""


class _Kept:
    """A loop. `gone_at` is when its shard was removed; `again_at` is when it may be tried again after its end."""

    __slots__ = ("again_at", "gone_at", "loop", "stopping")

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.gone_at: float | None = None
        self.again_at: float | None = None
        self.stopping = False


class Loops:
    """The loops of one worker. Several threads may call it.

    The shards in `seeds` are in the settings: if another instance is at the address of one, the worker ends, because
    the settings must be corrected. The fault of another shard ends only its own loops.
    """

    def __init__(self, make: Make, seeds: Shards, *, lanes: int = 1, linger_s: float = LINGER_S) -> None:
        self._make = make
        self._lanes = range(lanes)
        self._seeds = seeds
        self._linger_s = linger_s
        self._lock = threading.Lock()
        self._wanted: dict[LoopKey, Sequence[Address]] = {}
        self._positions: dict[str, int] = {}
        self._kept: dict[LoopKey, _Kept] = {}
        self._draining = False

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Loop]:
        with self._lock:
            return iter([kept.loop for kept in self._kept.values()])

    def ensure(self, shards: Shards) -> None:
        """Have a loop on each lane for each of these shards, and for no others."""
        with self._lock:
            if self._draining:
                return
            self._positions = {name: position for position, name in enumerate(sorted(shards))}
            self._wanted = {LoopKey(name, lane): shards[name] for name in shards for lane in self._lanes}
            for key, kept in self._kept.items():
                if key in self._wanted:
                    kept.gone_at = None
                elif kept.gone_at is None:
                    kept.gone_at = time.monotonic()
            self._settle()

    def tick(self) -> None:
        """End loops that are not needed any more, and start those that may start now.

        Raises:
            The error that ended a loop which must go on.
        """
        with self._lock:
            now = time.monotonic()
            for key, kept in list(self._kept.items()):
                if not kept.loop.is_alive():
                    self._ended(key, kept, now)
                elif kept.gone_at is not None and now - max(kept.gone_at, kept.loop.last_frame) > self._linger_s:
                    kept.loop.stop()
                    kept.stopping = True
            self._settle()

    def oldest_turn(self) -> float:
        """When the loop that is most behind completed its last round, on the monotonic clock."""
        return min((loop.last_turn for loop in self if loop.is_alive()), default=time.monotonic())

    def drain(self, timeout_s: float, beat: Callable[[], None] = lambda: None) -> bool:
        """Let every loop finish its frames, and start none any more; returns whether all did in time.

        `beat` is called once a second at least.
        """
        with self._lock:
            self._draining = True
            loops = [kept.loop for kept in self._kept.values()]
        for loop in loops:
            loop.stop()
        end = time.monotonic() + timeout_s
        for loop in loops:
            while loop.is_alive() and (left := end - time.monotonic()) > 0:
                beat()
                loop.join(min(left, BEAT_S))
        return not any(loop.is_alive() for loop in loops)

    def _settle(self) -> None:
        """Start the missing loops, and give the others their shard's position and addresses."""
        if self._draining:
            return
        for key in sorted(self._wanted):
            position = self._positions[key.shard]
            kept = self._kept.get(key)
            if kept is None:
                kept = self._kept[key] = _Kept(self._make(key, self._wanted[key], position))
                kept.loop.start()
                _log.info("a loop began", extra={"loop": kept.loop.name})
            elif not kept.stopping:
                kept.loop.update(self._wanted[key], position)

    def _ended(self, key: LoopKey, kept: _Kept, now: float) -> None:
        """Handle a loop that has ended; forget it if it should have ended, or may begin again."""
        failure = kept.loop.failure
        if kept.stopping and failure is None:
            _log.info("a loop ended, its shard was removed", extra={"loop": kept.loop.name})
            del self._kept[key]
        elif not isinstance(failure, WrongInstanceError) or key.shard in self._seeds:
            raise failure or RuntimeError(f"{kept.loop.name} ended")
        elif kept.again_at is None:
            kept.again_at = now + AGAIN_S
            _log.error("wrong instance at announced address", extra={"loop": kept.loop.name, "error": str(failure)})
        elif now >= kept.again_at or key not in self._wanted:
            del self._kept[key]
