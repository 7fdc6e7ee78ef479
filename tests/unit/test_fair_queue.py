"""FairQueue: how many requests start at a time, in which order, and which are rejected."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from api.overload.fair_queue import FairQueue


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 10))


async def turn() -> None:
    """Let the event loop complete one turn."""
    await asyncio.sleep(0)


def nothing() -> None:
    raise AssertionError("refused")


def test_a_bounded_number_starts_in_one_turn_and_the_rest_in_the_next() -> None:
    async def scenario() -> None:
        turns = FairQueue(per_turn=2, max_wait_s=1, give_up_s=10)
        started: list[int] = []
        for number in range(5):
            assert turns.enter("a", 1, lambda number=number: started.append(number), nothing)  # type: ignore[misc]
        await turn()
        assert started == [0, 1]
        await turn()
        assert started == [0, 1, 2, 3]
        await turn()
        assert started == [0, 1, 2, 3, 4]
        assert turns.waiting == 0

    run(scenario)


def test_only_a_bounded_number_may_start_at_once_within_a_turn() -> None:
    async def scenario() -> None:
        clock = Clock()
        turns = FairQueue(per_turn=2, max_wait_s=1, give_up_s=10)
        for _ in range(3):
            assert [turns.free(1), turns.free(1)] == [True, True]
            clock.now += 0.01
            assert not turns.free(1), "the clock advances within a turn"
            await turn()

    run(scenario)


def test_an_entry_that_waited_counts_in_the_turn_in_which_it_starts() -> None:
    async def scenario() -> None:
        turns = FairQueue(per_turn=2, max_wait_s=1, give_up_s=10)
        for _ in range(4):
            assert turns.enter("a", 1, lambda: None, nothing)
        await turn()
        await turn()
        assert turns.waiting == 0
        assert not turns.free(1)
        await turn()
        assert turns.free(1)

    run(scenario)


def test_users_take_turns_however_many_entries_one_of_them_has() -> None:
    async def scenario() -> None:
        turns = FairQueue(per_turn=1, max_wait_s=1, give_up_s=10)
        started: list[str] = []
        for user in ("greedy",) * 50 + ("modest", None):
            assert turns.enter(user, 1, lambda user=user: started.append(str(user)), nothing)  # type: ignore[misc]
        while len(started) < 4:
            await turn()
        assert started == ["greedy", "modest", "None", "greedy"]

    run(scenario)


def test_further_entries_are_rejected_only_of_a_user_whose_oldest_has_waited_too_long() -> None:
    async def scenario() -> None:
        turns = FairQueue(per_turn=1, max_wait_s=0.02, give_up_s=10, ready=lambda _: False)
        assert turns.enter("greedy", 1, nothing, lambda: None)
        now = asyncio.get_running_loop().time()
        assert not turns.full("greedy", now)
        assert turns.full("greedy", now + 0.03)
        assert not turns.full("modest", now + 0.03)

    run(scenario)


class Clock:
    """A clock for the running loop that a test moves."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        # It starts from now, because the loop has timers already: a jump ahead would make all of them due.
        self.now = loop.time()
        loop.time = lambda: self.now  # type: ignore[method-assign]

    async def turns(self, count: int, seconds: float) -> None:
        """Let this many turns of the loop take this long together."""
        for _ in range(count):
            await turn()
            self.now += seconds / count


def test_a_queue_that_never_empties_has_a_shorter_limit_of_waits_than_a_burst() -> None:
    async def scenario() -> None:
        clock = Clock()
        turns = FairQueue(per_turn=1, max_wait_s=5, give_up_s=10, ready=lambda _: False)
        for _ in range(3):
            assert turns.enter("greedy", 1, nothing, nothing)
        assert not turns.full("greedy", clock.now + 0.9)
        assert turns.full("greedy", clock.now + 1.1)

    run(scenario)


def test_a_queue_of_few_costly_entries_has_the_limit_of_a_burst() -> None:
    async def scenario() -> None:
        clock = Clock()
        turns = FairQueue(per_turn=16, max_wait_s=0.5, give_up_s=10)
        for _ in range(32):
            assert turns.enter("patient", 40, lambda: None, nothing)
        for _ in range(400):
            await clock.turns(1, 0.01)
            assert turns.waiting == 31
            assert turns.enter("patient", 40, lambda: None, nothing), "32 clients that each wait for their answer"
        assert turns.full("patient", clock.now + 0.3)

    run(scenario)


@pytest.mark.parametrize(("pause_s", "is_burst"), [(0.05, False), (1.0, True)])
def test_a_moment_with_an_empty_queue_does_not_turn_overload_into_a_burst(pause_s: float, *, is_burst: bool) -> None:
    async def scenario() -> None:
        clock = Clock()
        ready = False
        turns = FairQueue(per_turn=1, max_wait_s=1, give_up_s=10, ready=lambda _: ready)
        assert turns.enter("greedy", 1, lambda: None, nothing)
        clock.now += 2
        ready = True
        await clock.turns(2, 0.01)
        assert turns.waiting == 0
        clock.now += pause_s
        ready = False
        for _ in range(3):
            assert turns.enter("greedy", 1, nothing, nothing)
        assert turns.full("greedy", clock.now + 0.5) is not is_burst

    run(scenario)


def test_no_more_entries_are_admitted_than_the_measured_rate_can_start_in_time() -> None:
    async def scenario() -> None:
        clock = Clock()
        turns = FairQueue(per_turn=2, max_wait_s=0.5, give_up_s=10)
        for _ in range(300):
            assert turns.enter("greedy", 1, lambda: None, nothing)
        assert not turns.full("greedy", clock.now), "the rate is not known yet"
        await clock.turns(20, 0.2)
        assert turns.waiting == 260
        assert turns.full("greedy", clock.now), "at 200 a second"
        assert not turns.full("modest", clock.now)

    run(scenario)


def test_the_beginning_of_a_pause_is_not_taken_for_a_low_rate() -> None:
    async def scenario() -> None:
        clock = Clock()
        ready = True
        turns = FairQueue(per_turn=2, max_wait_s=0.5, give_up_s=10, ready=lambda _: ready)
        for _ in range(100):
            assert turns.enter("a", 1, lambda: None, nothing)
        await clock.turns(20, 0.2)
        assert turns.waiting == 60
        assert not turns.full("a", clock.now), "200 a second are started"
        await clock.turns(6, 0.06)
        ready = False
        for _ in range(22):
            await clock.turns(1, 0.01)
            assert not turns.full("a", clock.now), "the shards pause"

    run(scenario)


@pytest.mark.parametrize(("pause_s", "is_known"), [(0.05, True), (1.0, False)])
def test_the_rate_of_a_past_overload_does_not_apply_to_a_later_burst(pause_s: float, *, is_known: bool) -> None:
    async def scenario() -> None:
        clock = Clock()
        turns = FairQueue(per_turn=2, max_wait_s=1, give_up_s=10)
        for _ in range(4):
            assert turns.enter("greedy", 1, lambda: None, nothing)
        await clock.turns(1, 0.5)
        await turn()
        assert turns.waiting == 0, "four in half a second"
        clock.now += pause_s
        for _ in range(9):
            assert turns.enter("greedy", 1, lambda: None, nothing)
        assert turns.full("greedy", clock.now) is is_known

    run(scenario)


def test_one_costly_start_takes_a_turn_for_itself() -> None:
    async def scenario() -> None:
        turns = FairQueue(per_turn=4, max_wait_s=1, give_up_s=10)
        started: list[int] = []
        for number, cost in enumerate((1, 9, 1, 4, 1)):
            assert turns.enter("a", cost, lambda number=number: started.append(number), nothing)  # type: ignore[misc]
        await turn()
        assert started == [0, 1]
        await turn()
        assert started == [0, 1, 2, 3]
        assert [turns.free(9), turns.free(1)] == [False, False], "while others wait"

    run(scenario)


def test_after_a_costly_start_nothing_starts_at_once_in_the_same_turn() -> None:
    async def scenario() -> None:
        turns = FairQueue(per_turn=4, max_wait_s=1, give_up_s=10)
        assert [turns.free(cost) for cost in (3, 9, 1)] == [True, True, False]
        await turn()
        assert turns.free(1)

    run(scenario)


def test_an_entry_whose_turn_never_comes_is_rejected_at_last_even_while_others_start() -> None:
    async def scenario() -> None:
        clock = Clock()
        turns = FairQueue(per_turn=1, max_wait_s=0.1, give_up_s=0.4, ready=lambda user: user != "stuck")
        rejected: list[str] = []
        assert turns.enter("stuck", 1, nothing, lambda: rejected.append("stuck"))
        started = 0
        while not rejected:
            assert clock.now < 1e9
            assert turns.enter("free", 1, lambda: None, nothing)
            started += 1
            await clock.turns(1, 0.02)
            assert started < 60, "never rejected"
        assert started > 10

    run(scenario)


def test_an_entry_that_is_added_by_a_start_does_not_make_turns_come_faster() -> None:
    async def scenario() -> None:
        turns = FairQueue(per_turn=1, max_wait_s=1, give_up_s=10)
        started: list[int] = []

        def start() -> None:
            started.append(1)
            if len(started) < 50:
                assert turns.enter("a", 1, start, nothing)

        assert turns.enter("a", 1, start, nothing)
        for _ in range(10):
            await turn()
        assert len(started) == 10

    run(scenario)


def test_an_entry_that_fails_at_its_turn_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        turns = FairQueue(per_turn=1, max_wait_s=0.01, give_up_s=0.01)
        started: list[int] = []
        assert turns.enter("a", 1, nothing, nothing)
        assert turns.enter("a", 1, lambda: started.append(1), nothing)
        while not started:
            await turn()
        assert turns.waiting == 0
        # An entry that fails when it is given up does not stop them either.
        unready = FairQueue(per_turn=1, max_wait_s=0.01, give_up_s=0.01, ready=lambda _: False)
        rejected = asyncio.Event()
        assert unready.enter("a", 1, nothing, nothing)
        assert unready.enter("b", 1, nothing, rejected.set)
        await rejected.wait()
        assert unready.waiting == 0

    run(scenario)
    assert len(caplog.records) == 2
