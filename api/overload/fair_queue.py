"""Fair turns: what is too much for one turn of the event loop waits in one queue a user, and the users take turns.

Where this process is the bottleneck the queue would otherwise form in the event loop and in the kernel, where nobody
can count it, bound it, or tell one user from another. Whose oldest entry has waited for too long gets no more in: the
wait is the measure, so that nothing here depends on how fast a machine is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from api.overload.errors import overloaded

MAX_WAITING = 20_000
"""Entries of all users together: past it the wait of nobody matters."""

GIVE_UP = 4
"""What has been let in is refused after this many times the longest wait: it was to be served, and should be."""

PATIENCE = 2
"""What is there whole may wait for so many times as long as what comes: to refuse it late is worse than to work it
late."""

REFUSING_S = 1.0
"""How long a refusal makes it likely that the next is near."""

BURST_S = 1.0
"""Where something has been waiting for longer, without a break of `BREAK_S`, that is no burst any more."""

BREAK_S = 0.2

BURST_SHARE = 5
"""By so many times the longest wait is shorter then. A queue that never empties serves nobody: it only makes everybody
late (after "controlled delay", Nichols and Jacobson, 2012, and its use in Maurer, "Fail at Scale", 2015)."""

_FEW_USERS = 8
_WINDOW_S = 0.05
_SMOOTHING = 0.3

_LOOK_AGAIN_S = 0.002
"""Where nobody may start, until somebody else's end makes room."""

Call = Callable[[], object]
Queue = deque[tuple[float, Call, Call]]


class Turns:
    """Starts at most `per_turn` things in one turn of the event loop; nobody is let in whose wait is over `max_wait_s`.

    What is there whole may wait for `PATIENCE` times as long. All that is for bursts: where something has been waiting
    all the time, it is a fifth.

    A user is any text, or None for all whose names are not known: those share a queue. `ready` tells whether something
    of a user may start now; until then it waits. `loop.time()` of uvloop stands still within a turn, which makes it the
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
        self._started = 0
        self.waiting = 0
        self._waiting_since = 0.0
        self._waited_at = float("-inf")
        self._rate = 0.0
        """Starts in a second while something waits; 0 until it is known, and after a break: others may come."""
        self._window_began = 0.0
        self._window_starts = 0
        self._refused_at = float("-inf")
        self._judged_at = float("-inf")
        self._refusing = False

    def free(self, now: float) -> bool:
        """Whether something may start at once, which is then counted; `now` is the loop's time."""
        if self.waiting:
            return False
        if now != self._turn:
            self._turn = now
            self._started = 0
        self._started += 1
        return self._started <= self._per_turn

    def full(self, user: str | None, now: float, patience: int = 1) -> bool:
        """Whether the user has to wait for too long already: `patience` times the longest wait."""
        queue = self._queues.get(user)
        full = self.waiting >= MAX_WAITING or (queue is not None and self._is_long(queue, now, patience))
        if full:
            # What patience still lets in is no reason to refuse what comes: 64 clients with batches of 1,000 keys,
            # closed-loop, would have up to 3 % refused, and nobody has to be.
            self._refused_at = now
        return full

    def _is_long(self, queue: Queue, now: float, patience: int = 1) -> bool:
        """Whether a user's queue is longer than is worked in the longest wait, by what is seen and what is expected.

        Its oldest entry alone would tell too late: at three times what can be worked, three times as much comes in
        until that has waited for so long.
        """
        longest = patience * self._longest_wait(now)
        if now - queue[0][0] > longest:
            return True
        expected = self._rate * longest / len(self._queues)
        return 0 < expected < len(queue) and len(queue) > 2 * self._per_turn

    def refusing(self, now: float) -> bool:
        """Whether some user had to wait for too long a moment ago, and, as far as is soon told, has to in this turn."""
        if not self.waiting or now - self._refused_at >= REFUSING_S:
            return False
        if now != self._judged_at:
            self._judged_at = now
            self._refusing = (
                len(self._queues) > _FEW_USERS
                or self.waiting >= MAX_WAITING
                or any(self._is_long(queue, now) for queue in self._queues.values())
            )
        return self._refusing

    def _longest_wait(self, now: float) -> float:
        burst = now - self._waiting_since < BURST_S
        return self._max_wait_s if burst else self._max_wait_s / BURST_SHARE

    def enter(self, user: str | None, start: Call, refuse: Call, patience: int = 1) -> bool:
        """Have `start` called when it is the user's turn, or `refuse` if that never comes.

        False: neither, as the user has to wait for too long already.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self.full(user, now, patience):
            return False
        queue = self._queues.get(user)
        if queue is None:
            queue = self._queues[user] = deque()
        queue.append((now, start, refuse))
        if not self.waiting:
            if now - self._waited_at > BREAK_S:
                self._waiting_since = now
                self._rate = 0.0
            self._window_began, self._window_starts = now, 0
            loop.call_soon(self._take_turns)
        self.waiting += 1
        return True

    async def wait(self, user: str | None) -> None:
        """Return when it is the user's turn: that of a task, whose request has come in already.

        Raises:
            Problem: 503, the user has to wait for too long.
        """
        loop = asyncio.get_running_loop()
        if self.free(loop.time()):
            return
        turn: asyncio.Future[bool] = loop.create_future()

        def end(*, mine: bool) -> None:
            if not turn.done():
                turn.set_result(mine)

        calls = partial(end, mine=True), partial(end, mine=False)
        if not self.enter(user, *calls, patience=PATIENCE) or not await turn:
            raise overloaded("more is waiting than can be worked in time")

    def _take_turns(self) -> None:
        """One turn: the users in order, each with its oldest entry, and once more until the turn is full."""
        loop = asyncio.get_running_loop()
        self._waited_at = loop.time()
        started = self._start_ready()
        self._measure(started, self._waited_at)
        if not started:
            self._give_up(loop.time() - GIVE_UP * self._max_wait_s)
        if not self.waiting:
            return
        if started:
            loop.call_soon(self._take_turns)
        else:
            loop.call_later(_LOOK_AGAIN_S, self._take_turns)

    def _measure(self, started: int, now: float) -> None:
        self._window_starts += started
        elapsed = now - self._window_began
        if elapsed >= _WINDOW_S:
            rate = self._window_starts / elapsed
            self._rate = self._rate + _SMOOTHING * (rate - self._rate) if self._rate else rate
            self._window_began, self._window_starts = now, 0

    def _start_ready(self) -> int:
        queues = self._queues
        started = 0
        unready: set[str | None] = set()
        while started < self._per_turn and len(unready) < len(queues):
            user = next(iter(queues))
            queue = queues.pop(user)
            if user in unready or not self._ready(user):
                queues[user] = queue
                unready.add(user)
                continue
            _, start, _ = queue.popleft()
            if queue:
                # Behind all others.
                queues[user] = queue
            self.waiting -= 1
            started += 1
            start()
        return started

    def _give_up(self, before: float) -> None:
        """Refuse what has been waiting since before that time: nothing of that user has started for as long."""
        for user, queue in list(self._queues.items()):
            while queue and queue[0][0] < before:
                _, _, refuse = queue.popleft()
                self.waiting -= 1
                refuse()
            if not queue:
                del self._queues[user]
