"""Long work in steps, so that one large request does not hold the event loop while others wait.

A step is what happens between two `yield`s of a generator. A small request takes one step and is run at once.
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
"""Work goes on for so long before the event loop gets its turn; a single step may take longer."""

AT_ONCE = 128 * 1024
"""Bytes of a body or of stored values that make a small request. The worst of them takes some 20 ms."""

STEP_BYTES = 32 * 1024
"""Bytes that one step handles, unless a single value is larger: some milliseconds at worst."""

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]


def at_once(steps: Steps[T]) -> T:
    """Take all steps without a break, and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


PAUSE_S = 0.001
"""Between two slices the event loop is left to others for so long at least: it reads what they have sent."""


class LongWork:
    """Runs the long work of one process: one request's at a time, and half of the time at most while others wait.

    The users take turns: one who sends many large requests delays only his own. `others_wait` tells whether there are
    requests that wait for a shard.
    """

    def __init__(self, max_wait_s: float, others_wait: Callable[[], bool]) -> None:
        self._max_wait_s = max_wait_s
        self._others_wait = others_wait
        self._busy = False
        self._waiting: dict[str | None, deque[asyncio.Future[None]]] = {}

    async def run(self, steps: Steps[T], user: str | None, slice_s: float = SLICE_S) -> T:
        """Take all steps, with pauses between slices, and return their result.

        Raises:
            OverloadedError: the long work of others takes longer than this may wait.
        """
        await self._turn(user)
        try:
            while True:
                began = time.perf_counter()
                # Nearly all that is made here is dropped at the end of a step: the collector would only look at it.
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
        """Leave the event loop to others, for as long as the last slice took if they need it."""
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
        """Give the turn to the next user's oldest request."""
        while self._waiting:
            user = next(iter(self._waiting))
            queue = self._waiting.pop(user)
            turn = queue.popleft()
            if queue:
                # Behind all others.
                self._waiting[user] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
