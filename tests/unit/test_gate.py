"""The gate: which requests start at once, which wait for a turn, and which are rejected."""

import asyncio
from collections.abc import Awaitable, Callable

from api.overload.gate import Gate
from api.overload.shard_limits import Admission
from api.overload.tuning import BYTES_PER_START, STARTS_PER_TURN

LATE_S = 1.0


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 10))


def nothing() -> None:
    raise AssertionError("neither started nor rejected")


def gate(*, chunks_under_way: int = 0) -> Gate:
    admission = Admission(["s1"], max_chunks=8, max_bytes=1000, max_wait_s=0.5)
    admission.admit([("s1", 1)] * chunks_under_way)
    return Gate(admission, 0.1, LATE_S)


def test_small_requests_start_at_once_until_the_turn_is_full() -> None:
    async def scenario() -> None:
        opened = gate()
        assert [opened.is_open(0) for _ in range(STARTS_PER_TURN + 1)] == [True] * STARTS_PER_TURN + [False]
        await asyncio.sleep(0)
        assert opened.is_open(0)

    run(scenario)


def test_one_large_request_fills_a_turn() -> None:
    async def scenario() -> None:
        opened = gate()
        assert opened.is_open(STARTS_PER_TURN * BYTES_PER_START)
        assert not opened.is_open(0)

    run(scenario)


def test_nothing_starts_at_once_while_the_shard_limits_are_reached() -> None:
    async def scenario() -> None:
        assert not gate(chunks_under_way=8).is_open(0)

    run(scenario)


def test_only_a_user_whose_requests_have_waited_too_long_is_rejected() -> None:
    async def scenario() -> None:
        shut = gate(chunks_under_way=8)
        assert shut.enter("greedy", 1, nothing, nothing)
        now = asyncio.get_running_loop().time()
        assert not shut.full("greedy", now)
        assert shut.full("greedy", now + LATE_S)
        assert not shut.full("modest", now + LATE_S)
        assert not shut.full(None, now + LATE_S)

    run(scenario)


def test_a_request_starts_when_there_is_room_again() -> None:
    async def scenario() -> None:
        admission = Admission(["s1"], max_chunks=8, max_bytes=1000, max_wait_s=0.5)
        admission.admit([("s1", 1)] * 8)
        shut = Gate(admission, 5.0, 5.0)
        started = asyncio.Event()
        assert shut.enter("a", 1, started.set, nothing)
        await asyncio.sleep(0)
        assert not started.is_set()
        for _ in range(8):
            admission.release("s1", 1)
        await started.wait()

    run(scenario)


def test_rejected_requests_are_counted_by_route_until_they_are_taken() -> None:
    shut = gate()
    for route in ("/api/write", "/api/write", "/api/read"):
        shut.count_rejected(route)
    assert shut.take_rejected() == {"/api/write": 2, "/api/read": 1}
    assert shut.take_rejected() == {}
