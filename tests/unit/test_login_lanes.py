"""Where failed logins are counted when there are several lanes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from api.auth import login_throttle
from api.auth.login_throttle import LoginThrottle
from api.http.problems import Kind, Problem
from protocol.redis_wire import Command
from protocol.settings import AuthSettings, RedisSettings

LANES = RedisSettings(redis_url="redis://a,redis://b", redis_password="x").lanes
SETTINGS = AuthSettings(jwt_secret="a secret of these tests that is long enough")


class Wire:
    """A connection to a lane, which works unless it is in `down`."""

    down: frozenset[str] = frozenset()
    asked: list[str] = []  # noqa: RUF012 - of all connections of a test

    def __init__(self, lane: RedisSettings, **_: Any) -> None:
        self.closed = False
        self._name = lane.address.name

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        self.asked.append(self._name)
        if self._name in self.down:
            raise redis.TimeoutError("silent")
        return [b"OK", *[b"QUEUED" for _ in commands[1:-1]], [1 for _ in commands[1:-1]]]

    def close(self) -> None:
        self.closed = True


def counted(monkeypatch: pytest.MonkeyPatch, *down: str) -> list[str]:
    """The lanes that were asked to count one failure."""
    monkeypatch.setattr(login_throttle, "AsyncWire", Wire)
    monkeypatch.setattr(Wire, "down", frozenset(down))
    monkeypatch.setattr(Wire, "asked", [])
    asyncio.run(LoginThrottle(lambda: LANES, SETTINGS).failed("ann", "192.0.2.1"))
    return Wire.asked


def test_the_first_lane_counts_alone_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(monkeypatch) == ["a:6379"]


def test_the_next_lane_counts_if_the_first_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(monkeypatch, "a:6379") == ["a:6379", "b:6379"]


def test_a_login_gets_503_if_no_lane_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem) as caught:
        counted(monkeypatch, "a:6379", "b:6379")
    assert caught.value.kind is Kind.NOT_READY
