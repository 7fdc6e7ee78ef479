"""The outcome of a claimed request is recorded, however many attempts that takes."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ParamSpec, cast

import pytest

from api.batch import finishes
from api.batch.finishes import Finishes
from api.overload.errors import OverloadedError
from api.queue.errors import StoreCallError
from api.queue.store_calls import StoreCalls
from protocol.operations import Operation, Status

DONE = '{"status":"success"}'
P = ParamSpec("P")


def on_a_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(cast("Any", test(*args, **kwargs)))

    return run


class Shard:
    """Accepts records, or refuses them while `refusal` is set."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.tries = 0
        self.at_once = self.most_at_once = 0
        self.recorded: list[tuple[Any, ...]] = []

    async def call(self, operation: Operation, bucket: int, arguments: Sequence[Any]) -> None:
        assert operation is Operation.FINISH
        self.tries += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.refusal is not None:
            raise self.refusal
        self.recorded.append((bucket, *arguments))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the expected state was not reached")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishes, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(finishes, "LAST_WAIT_S", 0.002)


def finishes_on(shard: Shard, lasts_s: float = 60) -> Finishes:
    return Finishes(cast("StoreCalls", shard), lasts_s)


@on_a_loop
async def test_an_outcome_is_recorded_at_once() -> None:
    shard = Shard()
    finishes = finishes_on(shard)
    finishes.add(7, "ann", "key", "0a", DONE)
    await finishes.drain(1)
    assert shard.recorded == [(7, "ann", "key", "0a", '{"status":"success"}')]


@pytest.mark.parametrize(
    "refusal",
    [
        StoreCallError(Status.UNREACHABLE, "the shard is down"),
        StoreCallError(Status.UNKNOWN, "no answer"),
        StoreCallError(Status.NO_MEMORY, "the shard is full"),
        OverloadedError("not admitted"),
    ],
)
@on_a_loop
async def test_an_outcome_is_tried_again_until_the_shard_takes_it(refusal: Exception) -> None:
    shard = Shard(refusal)
    finishes = finishes_on(shard)
    for number in range(3):
        finishes.add(number, "ann", "key", "0a", DONE)
    await until(lambda: shard.tries > 50)
    assert shard.recorded == []
    shard.refusal = None
    await finishes.drain(5)
    assert sorted(bucket for bucket, *_ in shard.recorded) == [0, 1, 2]
    assert finishes.late == 0


@on_a_loop
async def test_an_outcome_is_recorded_at_once_even_while_others_are_late() -> None:
    shard = Shard(StoreCallError(Status.UNREACHABLE, "the shard is down"))
    finishes = finishes_on(shard)
    finishes.add(1, "ann", "late", "0a", DONE)
    await until(lambda: finishes.late == 1)
    shard.refusal = None
    finishes.add(2, "ann", "new", "0b", DONE)
    await finishes.drain(5)
    assert {bucket for bucket, *_ in shard.recorded} == {1, 2}


@on_a_loop
async def test_an_outcome_that_the_shard_will_never_take_is_given_up() -> None:
    shard = Shard(StoreCallError(Status.TOO_LARGE, "too large"))
    finishes = finishes_on(shard)
    finishes.add(1, "ann", "key", "0a", DONE)
    await finishes.drain(1)
    assert (shard.tries, finishes.late) == (1, 0)


@on_a_loop
async def test_a_claim_that_is_over_needs_no_outcome() -> None:
    shard = Shard(StoreCallError(Status.UNREACHABLE, "the shard is down"))
    finishes = finishes_on(shard, lasts_s=0.02)
    finishes.add(1, "ann", "key", "0a", DONE)
    await until(lambda: shard.tries > 0 and finishes.late == 0)
    await finishes.drain(1)
    assert shard.recorded == []


@on_a_loop
async def test_late_outcomes_are_bounded_in_number_and_tried_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishes, "MAX_LATE", 100)
    monkeypatch.setattr(finishes, "TRIES_AT_ONCE", 5)
    shard = Shard(StoreCallError(Status.UNREACHABLE, "the shard is down"))
    kept = finishes_on(shard)
    for number in range(150):
        kept.add(number, "ann", "key", "0a", DONE)
    await until(lambda: shard.tries > 160)
    assert kept.late <= 100
    shard.refusal, shard.most_at_once = None, 0
    await kept.drain(5)
    assert 90 <= len(shard.recorded) <= 100
    assert shard.most_at_once <= 5


@on_a_loop
async def test_draining_waits_for_a_bounded_time() -> None:
    shard = Shard(StoreCallError(Status.UNREACHABLE, "the shard is down"))
    finishes = finishes_on(shard)
    finishes.add(1, "ann", "key", "0a", DONE)
    async with asyncio.timeout(5):
        await finishes.drain(0.01)
    tries = shard.tries
    await asyncio.sleep(0)
    assert shard.tries == tries
