"""Long work is done in slices, for one request at a time, and the users take turns."""

import asyncio
import time
from collections.abc import Callable

import pytest

from api.batch.steps import SLICE_S, LongWork, Steps, at_once
from api.overload.errors import OverloadedError


def work(steps: int, seconds: float = 0.0, done: Callable[[], object] = lambda: None) -> Steps[int]:
    for _ in range(steps):
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            pass
        yield
    done()
    return steps


def nobody() -> bool:
    return False


def somebody() -> bool:
    return True


def test_all_steps_are_taken_at_once() -> None:
    assert at_once(work(3)) == 3


async def turns_while(task: asyncio.Task[int]) -> int:
    """How many turns the event loop gives to others until a task is done."""
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


def test_other_work_runs_between_slices() -> None:
    async def run() -> int:
        task = asyncio.ensure_future(LongWork(1, nobody).run(work(20, SLICE_S), None))
        turns = await turns_while(task)
        assert await task == 20
        return turns

    # Twenty slices, with a pause of many turns after each.
    assert asyncio.run(run()) > 40


def test_while_others_wait_long_work_takes_half_of_the_time() -> None:
    async def run() -> tuple[float, float]:
        began = time.perf_counter()
        await LongWork(1, somebody).run(work(3, 0.03), None)
        return time.perf_counter() - began, 3 * 0.03

    elapsed, worked = asyncio.run(run())
    assert elapsed >= 2 * worked


def test_several_short_steps_share_a_slice() -> None:
    async def run() -> int:
        task = asyncio.ensure_future(LongWork(1, nobody).run(work(100), None))
        turns = await turns_while(task)
        assert await task == 100
        return turns

    assert asyncio.run(run()) < 50


def test_an_error_reaches_the_request_and_the_next_one_starts() -> None:
    def fails() -> Steps[int]:
        yield
        raise ZeroDivisionError

    async def run() -> None:
        long_work = LongWork(1, nobody)
        with pytest.raises(ZeroDivisionError):
            await long_work.run(fails(), None)
        assert await long_work.run(work(2), None) == 2

    asyncio.run(run())


def test_users_take_turns() -> None:
    order: list[str] = []

    async def run() -> None:
        long_work = LongWork(10, nobody)
        requests = [*("greedy",) * 4, "modest"]
        await asyncio.gather(
            *(
                long_work.run(work(2, SLICE_S, lambda user=user: order.append(user)), user)  # type: ignore[misc]
                for user in requests
            )
        )

    asyncio.run(run())
    assert order == ["greedy", "greedy", "modest", "greedy", "greedy"]


def test_work_that_would_wait_for_too_long_is_refused() -> None:
    async def run() -> None:
        long_work = LongWork(0.02, nobody)
        running = asyncio.ensure_future(long_work.run(work(20, SLICE_S), "a"))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await long_work.run(work(1), "b")
        assert await running == 20
        assert await long_work.run(work(1), "b") == 1

    asyncio.run(run())


@pytest.mark.parametrize("waiting", [0, 1, 2])
def test_cancelled_work_does_not_delay_the_next(waiting: int) -> None:
    async def run() -> None:
        long_work = LongWork(10, nobody)
        tasks = [asyncio.ensure_future(long_work.run(work(5, SLICE_S), str(number))) for number in range(3)]
        await asyncio.sleep(0)
        tasks[waiting].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results.pop(waiting), asyncio.CancelledError)
        assert results == [5, 5]
        assert await long_work.run(work(1), None) == 1

    asyncio.run(run())
