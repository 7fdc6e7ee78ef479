"""Fair turns: what is too much for one turn of the event loop waits in one queue a user, and the users take turns.

Where this process is the bottleneck the queue would otherwise form in the event loop and in the kernel, where nobody
can count it, bound it, or tell one user from another. A user whose backlog would take too long to clear gets no more
in: the wait is the measure, so that nothing here depends on how fast a machine is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

MAX_WAITING = 20_000
"""Entries of all users together: past it the wait of nobody matters."""

GIVE_UP = 4
"""An entry is rejected after this many times the longest wait."""

BURST_S = 1.0
"""Where something has been waiting for longer, without a break of `BREAK_S`, that is no burst any more."""

BREAK_S = 0.2

BURST_SHARE = 5
"""The longest wait is divided by this then. A queue that never empties serves nobody: it only makes everybody late
(after "controlled delay", Nichols and Jacobson, 2012, and its use in Maurer, "Fail at Scale", 2015)."""

_WINDOW_S = 0.05
_SMOOTHING = 0.3

_LOOK_AGAIN_S = 0.002
"""Where nobody may start, until somebody else's end makes room."""

Call = Callable[[], object]
Queue = deque[tuple[float, int, Call, Call]]


class FairQueue:
    """Starts things that cost `per_turn` together in one turn of the event loop.

    A user is any text, or None for all who are not known: those share a queue. `ready` tells whether something of a
    user may start now; until then it waits. `loop.time()` of uvloop stands still within a turn, which makes it the
    turn's name.
    """

    def __init__(
        self, *, per_turn: int, max_wait_s: float, ready: Callable[[str | None], bool] = lambda _: True
    ) -> None:
        self._per_turn = per_turn
        self._max_wait_s = max_wait_s
        self._ready = ready
        self._queues: dict[str | None, Queue] = {}
        self._turn = 0.0
        self._spent = 0
        self.waiting = 0
        self._waiting_since = 0.0
        self._waited_at = float("-inf")
        self._rate = 0.0
        """Starts in a second while something waits; 0 until it is known, and after a break: others may come."""
        self._window_began = 0.0
        self._window_starts = 0
        self._scheduled = False

    def free(self, cost: int, now: float) -> bool:
        """Whether something may start at once, which is then counted; `now` is the loop's time."""
        if self.waiting:
            return False
        if now != self._turn:
            self._turn = now
            self._spent = 0
        if self._spent >= self._per_turn:
            return False
        self._spent += cost
        return True

    def full(self, user: str | None, now: float) -> bool:
        """Whether a user's queue is longer than is worked off in the longest wait, by what is seen and expected.

        Its oldest entry alone would tell too late: at three times what can be worked, three times as much comes in
        until that has waited for so long.
        """
        if self.waiting >= MAX_WAITING:
            return True
        queue = self._queues.get(user)
        if queue is None:
            return False
        longest = self._longest_wait(now)
        if now - queue[0][0] > longest:
            return True
        expected = self._rate * longest / len(self._queues)
        return 0 < expected < len(queue) and len(queue) > 2 * self._per_turn

    def _longest_wait(self, now: float) -> float:
        burst = now - self._waiting_since < BURST_S
        return self._max_wait_s if burst else self._max_wait_s / BURST_SHARE

    def enter(self, user: str | None, cost: int, start: Call, reject: Call) -> bool:
        """Have `start` called when it is the user's turn, or `reject` if that never comes.

        False: neither, as the user has to wait for too long already.
        """
        loop = asyncio.get_running_loop()
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
                self._rate = 0.0
            self._window_began, self._window_starts = now, 0
        self.waiting += 1
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._take_turns)
        return True

    def _take_turns(self) -> None:
        """One turn: the users in order, each with its oldest entry, and once more until the turn is full."""
        loop = asyncio.get_running_loop()
        now = self._waited_at = loop.time()
        started = self._start_ready()
        self._window_starts += started
        if now - self._window_began >= _WINDOW_S:
            self._measure(now)
            self._give_up(now - GIVE_UP * self._max_wait_s)
        self._scheduled = self.waiting > 0
        if not self.waiting:
            return
        if started:
            loop.call_soon(self._take_turns)
        else:
            loop.call_later(_LOOK_AGAIN_S, self._take_turns)

    def _measure(self, now: float) -> None:
        rate = self._window_starts / (now - self._window_began)
        self._rate = self._rate + _SMOOTHING * (rate - self._rate) if self._rate else rate
        self._window_began, self._window_starts = now, 0

    def _start_ready(self) -> int:
        queues = self._queues
        started = spent = 0
        unready: set[str | None] = set()
        while spent < self._per_turn and len(unready) < len(queues):
            user = next(iter(queues))
            queue = queues.pop(user)
            if user in unready or not self._ready(user):
                queues[user] = queue
                unready.add(user)
                continue
            _, cost, start, _ = queue.popleft()
            if queue:
                # Behind all others.
                queues[user] = queue
            self.waiting -= 1
            started += 1
            spent += cost
            start()
        return started

    def _give_up(self, before: float) -> None:
        """Reject what has been waiting since before that time, also while others start."""
        for user, queue in list(self._queues.items()):
            while queue and queue[0][0] < before:
                _, _, _, reject = queue.popleft()
                self.waiting -= 1
                reject()
            if not queue:
                del self._queues[user]
