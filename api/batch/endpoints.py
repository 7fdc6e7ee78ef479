"""What the routes of batches share; the routes themselves are in other modules."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from api.batch.decode import KeysBody, decode_keys
from api.batch.errand import Results
from api.batch.idempotency import Idempotency
from api.batch.limits import check_count
from api.batch.members import Members
from api.batch.outcomes import Result
from api.batch.run import Batches
from api.batch.split import Groups
from api.batch.steps import AT_ONCE, LongWork, Steps, T, at_once
from api.http.endpoint import Endpoint, Principal, Reply, error_answer
from api.http.negotiation import Format
from api.http.request import Request
from api.http.response import Answer
from api.ops.metrics import Metrics
from api.queue.pending import Caller
from protocol.operations import Operation


class BatchEndpoint(Endpoint):
    """What all routes of batches share."""

    def __init__(
        self,
        batches: Batches,
        idempotency: Idempotency,
        metrics: Metrics,
        long_work: LongWork,
        *base: Any,
    ) -> None:
        super().__init__(*base)
        self._batches = batches
        self._idempotency = idempotency
        self._metrics = metrics
        self._long_work = long_work

    def _keys(self, body: bytes, body_format: Format, kind: KeysBody) -> tuple[list[str], Members | None]:
        """The keys that a body names, and its other members, if there are any."""
        keys, more = decode_keys(body, body_format, self._limits, kind)
        check_count(len(keys), "keys", self._limits)
        self._metrics.batch(self.path, len(keys))
        if not more:
            return keys, None
        return keys, Members(more, body_format, self._limits, frozenset(keys), "keys")

    async def _take(self, steps: Steps[T], size: int, user: str | None) -> T:
        """Do work on `size` bytes: at once if it is small."""
        return at_once(steps) if size <= AT_ONCE else await self._long_work.run(steps, user)


class Plan:
    """A batch as its request asks for it: its parts for the shards, and how their outcomes become the answer."""

    __slots__ = ("caller", "groups", "operation")

    def __init__(self, operation: Operation, groups: Groups, caller: Caller) -> None:
        self.operation = operation
        self.groups = groups
        self.caller = caller

    def conclude(self, results: Sequence[Result]) -> Answer | Steps[Answer]:
        """Make the answer; a large one in steps.

        Raises:
            Problem: the worst of the failures.
        """
        raise NotImplementedError

    def drop(self) -> None:
        """Release what is held for an answer that will not be made."""


class PlannedEndpoint(BatchEndpoint):
    """A route whose requests are one batch each.

    A small request needs no task: when it has arrived it is decoded and its chunks are queued, and the arrival of its
    last outcome writes the answer.
    """

    @abstractmethod
    def plan(self, request: Request, body: bytes, user: str | None) -> Plan | Steps[Plan]:
        """Decode a request; a large one in steps, which may be abandoned at any point.

        Raises:
            Problem: 400 or 415.
        """

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        user = principal.name if principal is not None else None
        plan = self.plan(request, body, user)
        if not isinstance(plan, Plan):
            plan = await self._take(plan, len(body), user)
        try:
            results = await self._batches.run(
                plan.operation, plan.groups, caller=plan.caller, arrived_ms=request.arrived_ms
            )
            return await self._concluded(plan, results)
        except BaseException:
            plan.drop()
            raise

    async def _concluded(self, plan: Plan, results: Sequence[Result]) -> Answer:
        answer = plan.conclude(results)
        return answer if isinstance(answer, Answer) else await self._long_work.run(answer, plan.caller.user)

    def begin(self, request: Request, body: bytes, reply: Reply) -> None:
        """Answer a request that passed `check`, in a task only if it waits for something else than outcomes."""
        if len(body) > AT_ONCE or b"idempotency-key" in request.headers:
            reply(self.answer(request, body))
            return
        plan: Plan | Steps[Plan] | None = None
        try:
            principal = self._authenticator.known(request.headers.get(b"authorization"), self.scope)
            if principal is not None:
                plan = self.plan(request, body, principal.name)
                if not isinstance(plan, Plan):
                    plan = at_once(plan)
                done = partial(self._settled, request, plan, reply)
                self._batches.begin(plan.operation, plan.groups, plan.caller, request.arrived_ms, done)
        except Exception as error:  # noqa: BLE001 - as for every answer
            if isinstance(plan, Plan):
                plan.drop()
            reply(error_answer(error, request.request_id))
        else:
            if plan is None:
                reply(self.answer(request, body))

    def _settled(self, request: Request, plan: Plan, reply: Reply, results: Results) -> None:
        answer: Answer | Coroutine[Any, Any, Answer]
        if isinstance(results, list):
            try:
                concluded = plan.conclude(results)
            except Exception as error:  # noqa: BLE001 - as for every answer
                plan.drop()
                answer = error_answer(error, request.request_id)
            else:
                if isinstance(concluded, Answer):
                    answer = concluded
                else:
                    making = self._long_work.run(concluded, plan.caller.user)
                    answer = self._made(request, plan, making)
        else:
            answer = self._made(request, plan, self._followed(plan, results))
        reply(answer)

    async def _followed(self, plan: Plan, following: Coroutine[Any, Any, list[Result]]) -> Answer:
        return await self._concluded(plan, await following)

    async def _made(self, request: Request, plan: Plan, making: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            return await making
        except Exception as error:  # noqa: BLE001 - as for every answer
            plan.drop()
            return error_answer(error, request.request_id)
        except BaseException:
            plan.drop()
            raise
