"""The lanes of this process: since when each works or does not, and how many frames were sent on it lately."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from api.ops.recent import WINDOW_S
from api.queue.lanes import LaneView


class LaneStates:
    """Looks at the lanes once a second, so the time of a change is exact to a second."""

    def __init__(
        self,
        views: Callable[[], Sequence[LaneView]],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._views = views
        self._clock = clock
        self._wall = wall
        self._since: dict[str, tuple[bool, float]] = {}
        self._frames: deque[tuple[float, Mapping[str, int]]] = deque()

    def note(self) -> Sequence[LaneView]:
        """Look at the lanes now, and return them."""
        now, views = self._clock(), self._views()
        for view in views:
            known = self._since.get(view.name)
            if known is None or known[0] != view.up:
                self._since[view.name] = view.up, self._wall()
        self._frames.append((now, {view.name: view.frames for view in views}))
        while self._frames[0][0] < now - WINDOW_S:
            self._frames.popleft()
        return views

    def rows(self) -> list[dict[str, Any]]:
        """A row for each lane. `since` is Unix time in seconds; `frames_per_s` is of the last seconds."""
        views = self.note()
        began, before = self._frames[0]
        passed = max(1.0, self._clock() - began)
        return [
            {
                "lane": view.name,
                "up": view.up,
                "since": round(self._since[view.name][1], 3),
                "shards": sorted(view.shards),
                "frames_per_s": (view.frames - before.get(view.name, 0)) / passed,
            }
            for view in views
        ]
