"""Runs the requests of routes that are one batch each, from the plan of a request to its answer.

A small request needs no task: when it has arrived it is decoded and its chunks are queued, and the arrival of its last
outcome writes the answer. What a route plans is in `change_planners` and `read_planner`.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from api.batch.decode import KeysBody, decode_keys
from api.batch.errand import Results
from api.batch.limits import check_count
from api.batch.members import Members
from api.batch.observer import BatchObserver
from api.batch.outcomes import Result
from api.batch.run import Batches
from api.batch.split import Groups
from api.batch.steps import AT_ONCE, LongWork, Steps, at_once
from api.http.endpoint import Reply, error_answer
from api.http.negotiation import Format
from api.http.request import Request
from api.http.response import Answer
from api.queue.pending import Caller
from protocol.operations import Operation
from protocol.settings import BatchSettings


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


class Planner:
    """Plans and runs the requests of one route."""

    def __init__(
        self, route: str, batches: Batches, metrics: BatchObserver, long_work: LongWork, limits: BatchSettings
    ) -> None:
        self._route = route
        self._batches = batches
        self._metrics = metrics
        self._long_work = long_work
        self._limits = limits

    def plan(self, request: Request, body: bytes, user: str | None) -> Plan | Steps[Plan]:
        """Decode a request; a large one in steps, which may be abandoned at any point.

        Raises:
            Problem: 400 or 415.
        """
        raise NotImplementedError

    def _keys(self, body: bytes, body_format: Format, kind: KeysBody) -> tuple[list[str], Members | None]:
        """The keys that a body names, and its other members, if there are any."""
        keys, more = decode_keys(body, body_format, self._limits, kind)
        check_count(len(keys), "keys", self._limits)
        self._metrics.batch(self._route, len(keys))
        if not more:
            return keys, None
        return keys, Members(more, body_format, self._limits, frozenset(keys), "keys")

    async def run(self, request: Request, body: bytes, user: str | None) -> Answer:
        """Answer a request in a task; raises `Problem` for every failure."""
        plan = self.plan(request, body, user)
        if not isinstance(plan, Plan):
            plan = at_once(plan) if len(body) <= AT_ONCE else await self._long_work.run(plan, user)
        try:
            results = await self._batches.run(
                plan.operation, plan.groups, caller=plan.caller, arrived_ms=request.arrived_ms
            )
            return await self._concluded(plan, results)
        except BaseException:
            plan.drop()
            raise

    def begin(self, request: Request, body: bytes, user: str, reply: Reply) -> None:
        """Answer a small request without a claim; in a task only if it waits for something else than outcomes."""
        plan: Plan | Steps[Plan] | None = None
        try:
            plan = self.plan(request, body, user)
            if not isinstance(plan, Plan):
                plan = at_once(plan)
            done = partial(self._settled, request, plan, reply)
            self._batches.begin(plan.operation, plan.groups, plan.caller, request.arrived_ms, done)
        except Exception as error:  # noqa: BLE001 - the client gets a problem document; unexpected errors are logged
            if isinstance(plan, Plan):
                plan.drop()
            reply(error_answer(error, request.request_id))

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

    async def _concluded(self, plan: Plan, results: Sequence[Result]) -> Answer:
        answer = plan.conclude(results)
        return answer if isinstance(answer, Answer) else await self._long_work.run(answer, plan.caller.user)

    async def _made(self, request: Request, plan: Plan, making: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            return await making
        except Exception as error:  # noqa: BLE001 - as for every answer
            plan.drop()
            return error_answer(error, request.request_id)
        except BaseException:
            plan.drop()
            raise
