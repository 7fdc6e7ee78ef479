"""The waits in a client for another of its calls, or for a thread, are bounded."""

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


def test_a_call_waits_for_the_login_of_another_only_until_its_deadline() -> None:
    runner = Runner(NO_TRANSPORT)
    assert runner.run(alone(nothing())) == "done"
    # This happens if the function that gives the credentials makes a call of the same client.
    with pytest.raises(UnreachableError, match="login"):
        runner.run(alone(alone(nothing())))
    assert runner.run(alone(nothing())) == "done"


def test_an_asyncio_call_waits_for_the_login_of_another_only_until_its_deadline() -> None:
    async def scenario() -> None:
        runner = AsyncRunner(NO_TRANSPORT)
        assert await runner.run(alone(nothing())) == "done"
        with pytest.raises(UnreachableError, match="login"):
            await runner.run(alone(alone(nothing())))
        assert await runner.run(alone(nothing())) == "done"

    asyncio.run(scenario())


def test_the_client_does_not_wait_for_a_thread_that_has_exited() -> None:
    def leave() -> Steps[str]:
        yield from ()
        raise SystemExit(3)

    ((position, outcome),) = Runner(NO_TRANSPORT).beside_each_other([leave()], 2)
    assert position == 0
    assert isinstance(outcome.error, SystemExit)
