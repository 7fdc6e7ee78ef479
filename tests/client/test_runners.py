"""What waits in a client for another of its calls, or for a thread, waits no longer than it may."""

import asyncio
from typing import Any, cast

import pytest
from tarantkv.async_runner import AsyncRunner
from tarantkv.effects import Alone, Steps
from tarantkv.errors import UnreachableError
from tarantkv.runner import Runner

NO_TRANSPORT = cast("Any", None)
SHORT_S = 0.01


def nothing() -> Steps[str]:
    yield from ()
    return "done"


def alone(inner: Steps[Any]) -> Steps[Any]:
    return (yield Alone(inner, SHORT_S))


def test_a_call_does_not_wait_past_its_time_for_the_login_of_another() -> None:
    runner = Runner(NO_TRANSPORT)
    assert runner.run(alone(nothing())) == "done"
    # As where the one who gives the credentials asks the same client for them.
    with pytest.raises(UnreachableError, match="login"):
        runner.run(alone(alone(nothing())))
    assert runner.run(alone(nothing())) == "done"


def test_nor_does_one_of_asyncio() -> None:
    async def scenario() -> None:
        runner = AsyncRunner(NO_TRANSPORT)
        assert await runner.run(alone(nothing())) == "done"
        with pytest.raises(UnreachableError, match="login"):
            await runner.run(alone(alone(nothing())))
        assert await runner.run(alone(nothing())) == "done"

    asyncio.run(scenario())


def test_a_thread_that_ends_by_an_exit_is_not_waited_for() -> None:
    def leave() -> Steps[str]:
        yield from ()
        raise SystemExit(3)

    ((position, outcome),) = Runner(NO_TRANSPORT).beside_each_other([leave()], 2)
    assert position == 0
    assert isinstance(outcome.error, SystemExit)
