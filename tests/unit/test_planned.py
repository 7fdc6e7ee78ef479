"""Small batches without a task: which requests are answered in the same step, and which need a task."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from api.batch.change_endpoints import Write
from api.batch.endpoints import PlannedEndpoint
from api.batch.outcomes import Result
from api.batch.read_endpoint import Read
from api.batch.split import Groups
from api.batch.steps import AT_ONCE, LongWork
from api.http.request import Request
from api.http.response import Answer
from api.overload.errors import overloaded
from api.overload.memory_budgets import AnswerBudget
from api.queue.pending import Caller
from protocol.buckets import ShardMap
from protocol.chunks import answer_of
from protocol.frames import Outcome
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings
from tests.unit.memory_server import KnownUsers

LIMITS = BatchSettings()
MAP = ShardMap(("s1",), 1, (0, 0))
VALUE = answer_of([msgspec.Raw(msgspec.msgpack.encode("v"))])
WRITE, READ = b'{"data": {"k": 1}}', b'{"keys": ["k"]}'

Replied = list[Answer | Coroutine[Any, Any, Answer]]


class Waiting:
    """Accepts batches, and settles the last one when a test asks for it."""

    def __init__(self) -> None:
        self.begun: list[tuple[Operation, Groups, Caller]] = []
        self.ran = 0
        self.is_full = False
        self._done: Callable[[Any], None] = lambda _: None

    def groups(self) -> Groups:
        return Groups(MAP)

    def begin(self, operation: Operation, groups: Groups, caller: Caller, _: int, done: Callable[[Any], None]) -> None:
        if self.is_full:
            raise overloaded("full")
        self.begun.append((operation, groups, caller))
        self._done = done

    async def run(self, _: Operation, groups: Groups, **__: object) -> list[Result]:
        self.ran += 1
        return results(groups, Outcome(b"", Status.OK, None))

    def settle(self, outcome: Outcome) -> None:
        self._done(results(self.begun[-1][1], outcome))

    def settle_later(self, outcome: Outcome) -> None:
        """Settle with the refusal of a bucket that has moved."""

        async def follow() -> list[Result]:
            return results(self.begun[-1][1], outcome)

        self._done(follow())


def results(groups: Groups, outcome: Outcome) -> list[Result]:
    return [Result(part, outcome) for part in groups.parts()]


class Uncounted:
    """Counts nothing."""

    def batch(self, route: str, keys: int) -> None:
        """Count nothing."""


@pytest.fixture
def batches() -> Waiting:
    return Waiting()


@pytest.fixture
def budget() -> AnswerBudget:
    return AnswerBudget(1_000_000)


def endpoint(batches: Waiting, budget: AnswerBudget, kind: type[PlannedEndpoint]) -> PlannedEndpoint:
    base: tuple[Any, ...] = (batches, None, Uncounted(), LongWork(5, lambda: False), KnownUsers(), LIMITS)
    return Read(budget, *base) if kind is Read else kind(*base)


def begun(asked: PlannedEndpoint, body: bytes, **headers: str) -> Replied:
    fields = {
        b"authorization": b"alice",
        **{name.replace("_", "-").encode(): each.encode() for name, each in headers.items()},
    }
    request = Request("POST", asked.path, b"", fields, address="", request_id=b"r", arrived=time.monotonic())
    replied: Replied = []
    asked.begin(request, body, replied.append)
    return replied


def status_of(replied: Replied) -> int:
    (answer,) = replied
    assert isinstance(answer, Answer)
    return answer.status


async def made(replied: Replied) -> Answer:
    (making,) = replied
    assert not isinstance(making, Answer)
    return await making


@pytest.mark.parametrize(("kind", "body", "payload"), [(Write, WRITE, None), (Read, READ, VALUE)])
def test_a_small_batch_is_answered_in_the_step_that_brings_its_outcome(
    batches: Waiting, budget: AnswerBudget, kind: type[PlannedEndpoint], body: bytes, payload: object
) -> None:
    replied = begun(endpoint(batches, budget, kind), body)
    assert (len(batches.begun), replied) == (1, [])
    assert batches.begun[0][2].user == "alice"
    batches.settle(Outcome(b"", Status.OK, payload))
    assert status_of(replied) == 200


@pytest.mark.parametrize(
    ("body", "authorization", "expected"),
    [(b"{", "alice", 400), (b'{"data": {}}', "alice", 400), (WRITE, "forged", 401)],
    ids=["malformed", "empty", "forged"],
)
def test_a_refused_request_is_answered_at_once(
    batches: Waiting, budget: AnswerBudget, body: bytes, authorization: str, expected: int
) -> None:
    replied = begun(endpoint(batches, budget, Write), body, authorization=authorization)
    assert status_of(replied) == expected
    assert batches.begun == []


@pytest.mark.parametrize("is_admitted", [False, True])
def test_a_read_that_fails_releases_the_memory_of_its_answer(
    batches: Waiting, budget: AnswerBudget, *, is_admitted: bool
) -> None:
    batches.is_full = not is_admitted
    replied = begun(endpoint(batches, budget, Read), READ)
    if is_admitted:
        take = batches.begun[0][2].take
        assert take is not None
        assert take(5000)
        batches.settle(Outcome(b"", Status.UNREACHABLE, "gone"))
    assert status_of(replied) == 503
    assert budget.held == 0


def test_a_bucket_that_has_moved_is_followed_in_a_task(batches: Waiting, budget: AnswerBudget) -> None:
    replied = begun(endpoint(batches, budget, Read), READ)
    batches.settle_later(Outcome(b"", Status.OK, VALUE))
    assert asyncio.run(made(replied)).status == 200


def test_keys_not_found_because_a_bucket_has_moved_are_a_problem(batches: Waiting, budget: AnswerBudget) -> None:
    replied = begun(endpoint(batches, budget, Read), READ)
    batches.settle_later(Outcome(b"", Status.WRONG_BUCKET, "on its way"))
    assert asyncio.run(made(replied)).status == 503
    assert budget.held == 0


def test_a_large_answer_is_made_in_a_task(batches: Waiting, budget: AnswerBudget) -> None:
    replied = begun(endpoint(batches, budget, Read), READ)
    large = answer_of([msgspec.Raw(msgspec.msgpack.encode("v" * (AT_ONCE + 1)))])
    batches.settle(Outcome(b"", Status.OK, large))
    assert len(asyncio.run(made(replied)).body) > AT_ONCE


def test_a_large_body_is_read_in_a_task(batches: Waiting, budget: AnswerBudget) -> None:
    replied = begun(endpoint(batches, budget, Write), WRITE + b" " * AT_ONCE)
    assert asyncio.run(made(replied)).status == 200
    assert (len(batches.begun), batches.ran) == (0, 1)


def test_a_request_with_an_idempotency_key_takes_a_task(batches: Waiting, budget: AnswerBudget) -> None:
    (making,) = begun(endpoint(batches, budget, Write), WRITE, idempotency_key="once")
    assert isinstance(making, Coroutine)
    making.close()
    assert batches.begun == []


def test_an_account_that_is_not_cached_is_looked_up_in_a_task(
    batches: Waiting, budget: AnswerBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnownUsers, "known", lambda *_: None)
    replied = begun(endpoint(batches, budget, Write), WRITE)
    assert batches.begun == []
    assert asyncio.run(made(replied)).status == 200
