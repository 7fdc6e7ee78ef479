"""Fair turns: requests that do not fit into one turn of the event loop wait in one queue for each user, and the users
take turns.

If this process is the bottleneck, requests would otherwise queue in the event loop and in the kernel. There nobody can
bound the queue or tell one user from another. A user whose backlog would take too long to clear gets no more entries.
The limit is a time and not a number, so it suits machines of any speed. A connection has one entry at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import cast

from api.overload.tuning import BREAK_S, BURST_S, BURST_SHARE, LOOK_AGAIN_S, SHORT_TURNS, WINDOW_S

_log = logging.getLogger(__name__)

Call = Callable[[], object]
Queue = deque[tuple[float, int, Call, Call]]


class FairQueue:
    """Starts requests in turns of the event loop: the costs of those in one turn add up to about `per_turn`.

    A user is any text, or None for all users that are not known: those share a queue. `ready` tells whether a request
    of a user may start now; until then it waits, for `give_up_s` seconds at most.

    A turn ends when the event loop calls what was scheduled in it. The loop's clock does not tell turns apart: it goes
    on within one.
    """

    def __init__(
        self,
        *,
        per_turn: int,
        max_wait_s: float,
        give_up_s: float,
        ready: Callable[[str | None], bool] = lambda _: True,
    ) -> None:
        self._per_turn = per_turn
        self._max_wait_s = max_wait_s
        self._give_up_s = give_up_s
        self._ready = ready
        self._queues: dict[str | None, Queue] = {}
        self._spent = 0
        """The costs of what started in this turn."""
        self.waiting = 0
        self._waiting_since = 0.0
        self._waited_at = float("-inf")
        self._newest_rate = self._rate = 0.0
        """Starts in a second while requests wait; 0 until it is known."""
        self._window_began = 0.0
        self._window_starts = 0
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def free(self, cost: int) -> bool:
        """Whether a request may start at once; if so, it is counted."""
        if self.waiting or self._spent >= self._per_turn:
            return False
        if not self._spent:
            self._running_loop().call_soon(self._end_turn)
        self._spent += cost
        return True

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            # Once only: each look for the running loop is a system call.
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _end_turn(self) -> None:
        self._spent = 0

    def full(self, user: str | None, now: float) -> bool:
        """Whether a user's queue takes too long to clear, by the age of its oldest entry or by the rate of starts."""
        queue = self._queues.get(user)
        if queue is None:
            return False
        waited = now - queue[0][0]
        if len(queue) <= SHORT_TURNS * self._per_turn:
            return waited > self._max_wait_s
        longest = self._max_wait_s
        if now - self._waiting_since >= BURST_S:
            longest /= BURST_SHARE
        expected = self._rate * longest / len(self._queues)
        return waited > longest or 0 < expected < len(queue)

    def enter(self, user: str | None, cost: int, start: Call, reject: Call) -> bool:
        """Call `start` when it is the user's turn, or `reject` if that does not come in time.

        False: neither will be called, because the user's backlog is too long already.
        """
        loop = self._running_loop()
        now = loop.time()
        if self.full(user, now):
            return False
        queue = self._queues.get(user)
        if queue is None:
            queue = self._queues[user] = deque()
        queue.append((now, cost, start, reject))
        if not self.waiting:
            if now - self._waited_at > BREAK_S:
                self._waiting_since = now
                self._rate = self._newest_rate = 0.0
            self._window_began, self._window_starts = now, 0
        self.waiting += 1
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._take_turns)
        return True

    def _take_turns(self) -> None:
        """Take one turn: each user in order starts its oldest entry, and again, until the turn is full."""
        loop = cast("asyncio.AbstractEventLoop", self._loop)
        now = self._waited_at = loop.time()
        self._spent = 0
        started = self._start_ready()
        self._window_starts += started
        if now - self._window_began >= WINDOW_S:
            self._measure(self._window_starts / (now - self._window_began))
            self._window_began, self._window_starts = now, 0
            self._give_up(now - self._give_up_s)
        self._scheduled = self.waiting > 0
        if not self.waiting:
            loop.call_soon(self._end_turn)
        elif started:
            loop.call_soon(self._take_turns)
        else:
            loop.call_later(LOOK_AGAIN_S, self._take_turns)

    def _measure(self, rate: float) -> None:
        """Use the higher of the last two rates: the shards may have paused in the middle of the last measurement.

        A rate of 0 is ignored: the shards pause, and may continue at any moment.
        """
        self._rate = max(rate, self._newest_rate) if rate else 0.0
        self._newest_rate = rate

    def _start_ready(self) -> int:
        queues = self._queues
        started = 0
        unready: set[str | None] = set()
        while self._spent < self._per_turn and len(unready) < len(queues):
            user = next(iter(queues))
            queue = queues.pop(user)
            if user in unready or not self._ready(user):
                queues[user] = queue
                unready.add(user)
                continue
            _, cost, start, _ = queue.popleft()
            if queue:
                # Its turn comes after that of all other users.
                queues[user] = queue
            self.waiting -= 1
            started += 1
            self._spent += cost
            _call(start)
        return started

    def _give_up(self, before: float) -> None:
        """Reject the entries that have waited since before that time, even while others start."""
        for user, queue in list(self._queues.items()):
            while queue and queue[0][0] < before:
                _, _, _, reject = queue.popleft()
                self.waiting -= 1
                _call(reject)
            if not queue:
                del self._queues[user]


def _call(entry: Call) -> None:
    """Start or reject one request. An exception must not end the turns, because other entries wait for theirs."""
    try:
        entry()
    except Exception as error:  # noqa: BLE001 - see above
        _log.error("a request that waited for its turn has failed", exc_info=error)
