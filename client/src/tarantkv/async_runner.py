"""Runs the core's steps with asyncio. The asynchronous client consists of this and the calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing, closing
from typing import Any, TypeVar

from tarantkv.effects import NOT_BEGUN, Alone, Effect, Open, Outcome, Read, Send, Shut, Sleep, Steps, Together
from tarantkv.errors import LOGIN_LASTS, ClosedError, UnreachableError
from tarantkv.transport import AsyncTransport

T = TypeVar("T")


class AsyncRunner:
    """Runs steps in tasks of the running event loop."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.transport = transport
        self.closed = False
        self._alone: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def run(self, steps: Steps[T]) -> T:
        """Run steps to their end; raises what they raise."""
        if self.closed:
            raise ClosedError("the client is closed")
        with closing(steps):
            try:
                effect = next(steps)
                while True:
                    try:
                        result = await self._carry_out(effect)
                    except BaseException as error:  # noqa: BLE001 - the steps decide what it means
                        effect = steps.throw(error)
                    else:
                        effect = steps.send(result)
            except StopIteration as end:
                value: T = end.value
                return value

    async def beside_each_other(
        self,
        steps: AsyncIterable[Steps[T]],
        limit: int,
        stop: Callable[[BaseException], bool] = lambda _: False,
    ) -> AsyncGenerator[tuple[int, Outcome], None]:
        """Run steps in at most `limit` tasks; positions and outcomes as they end. After `stop` no further ones are
        begun.
        """
        running: dict[asyncio.Task[Outcome], int] = {}
        waiting = aiter(steps)
        begun, may_begin = 0, True
        try:
            while True:
                while may_begin and len(running) < limit:
                    following = await anext(waiting, None)
                    if following is None:
                        may_begin = False
                        break
                    running[asyncio.create_task(self._outcome(following))] = begun
                    begun += 1
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    outcome = task.result()
                    if outcome.error is not None and stop(outcome.error):
                        may_begin = False
                    yield running.pop(task), outcome
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _outcome(self, steps: Steps[Any]) -> Outcome:
        try:
            return Outcome(begun=True, value=await self.run(steps))
        except Exception as error:  # noqa: BLE001 - handed on
            return Outcome(begun=True, error=error)

    async def _carry_out(self, effect: Effect) -> Any:  # noqa: PLR0911 - one for each effect
        match effect:
            case Send(request):
                return await self.transport.send(request)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Read(stream, timeout):
                return await self.transport.read(stream, timeout)
            case Open(request):
                return await self.transport.open(request)
            case Shut(stream):
                return await self.transport.shut(stream)
            case Alone(steps, timeout):
                lock = self._lock()
                try:
                    async with asyncio.timeout(timeout):
                        await lock.acquire()
                except TimeoutError:
                    raise UnreachableError(LOGIN_LASTS) from None
                try:
                    return await self.run(steps)
                finally:
                    lock.release()
            case Together(steps, limit, stop):
                outcomes = [NOT_BEGUN] * len(steps)
                async with aclosing(self.beside_each_other(_each(steps), limit, stop)) as done:
                    async for position, outcome in done:
                        outcomes[position] = outcome
                return outcomes

    def _lock(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._alone is None or self._alone[0] is not loop:
            self._alone = loop, asyncio.Lock()
        return self._alone[1]


async def _each(steps: Iterable[Steps[Any]]) -> AsyncGenerator[Steps[Any], None]:
    for each in steps:
        yield each
