"""Runs long work in steps, so that one large request does not keep the event loop from others.

A step is the code between two `yield`s of a generator. The work for a small request runs at once.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

from api.overload.errors import overloaded

SLICE_S = 0.004
"""Work continues for this long before the event loop gets its turn; a single step may take longer."""

AT_ONCE = 128 * 1024
"""Requests with no more bytes of body or of stored values are small. The slowest of them takes some 20 ms."""

STEP_BYTES = 32 * 1024
"""Bytes that one step processes, unless a single value is larger: some milliseconds at worst."""

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]


def at_once(steps: Steps[T]) -> T:
    """Run all steps without a break, and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


PAUSE_S = 0.001
"""The shortest pause between two slices: in it the event loop reads what other clients have sent."""


class LongWork:
    """Runs the long work of one process: for one request at a time, and half of the time at most while others wait.

    The users take turns: a user who sends many large requests only delays the user's own requests. `others_wait` tells
    whether there are requests that wait for a shard.
    """

    def __init__(self, max_wait_s: float, others_wait: Callable[[], bool]) -> None:
        self._max_wait_s = max_wait_s
        self._others_wait = others_wait
        self._busy = False
        self._waiting: dict[str | None, deque[asyncio.Future[None]]] = {}

    async def run(self, steps: Steps[T], user: str | None, slice_s: float = SLICE_S) -> T:
        """Run all steps, with pauses between slices, and return their result.

        Raises:
            OverloadedError: the long work of other requests takes longer than this one may wait.
        """
        await self._turn(user)
        try:
            while True:
                began = time.perf_counter()
                # Nearly all objects made here are dropped at the end of a step: the garbage collector would examine
                # them in vain.
                gc.disable()
                try:
                    while time.perf_counter() - began < slice_s:
                        next(steps)
                except StopIteration as end:
                    result: T = end.value
                    return result
                finally:
                    gc.enable()
                await self._pause(time.perf_counter() - began)
        finally:
            steps.close()
            self._pass_on()

    async def _pause(self, longest_s: float) -> None:
        """Give the event loop to others, for as long as the last slice took if they need it."""
        ends = time.perf_counter() + longest_s
        await asyncio.sleep(PAUSE_S)
        for _ in range(int(longest_s / PAUSE_S)):
            if not self._others_wait() or time.perf_counter() >= ends:
                return
            await asyncio.sleep(PAUSE_S)

    async def _turn(self, user: str | None) -> None:
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user, deque()).append(turn)
        try:
            async with asyncio.timeout(self._max_wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            if isinstance(error, TimeoutError):
                raise overloaded("other large requests take longer than this one may wait") from None
            raise

    def _pass_on(self) -> None:
        """Give the turn to the oldest request of the next user."""
        while self._waiting:
            user = next(iter(self._waiting))
            queue = self._waiting.pop(user)
            turn = queue.popleft()
            if queue:
                # Its turn comes after that of all other users.
                self._waiting[user] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
