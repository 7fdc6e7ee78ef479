"""The routes for changes: write, delete, touch and increment."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from api.batch.bodies import DeleteBody, TouchBody
from api.batch.change_results import FINAL_WORDS, Asked, success_or_problem
from api.batch.counters import add_increments
from api.batch.endpoints import BatchEndpoint, Plan, PlannedEndpoint
from api.batch.errand import Claim
from api.batch.idempotency import check_key, fingerprint
from api.batch.members import Members
from api.batch.options import delete_conditions, touch_expiries
from api.batch.outcomes import Result
from api.batch.split import Groups
from api.batch.steps import AT_ONCE, Steps
from api.batch.write_body import add_large_write, add_write
from api.http.endpoint import Principal
from api.http.negotiation import Format, accepted, format_of
from api.http.problems import Kind, Problem
from api.http.request import Request
from api.http.response import Answer, document
from api.queue.pending import Caller
from protocol.operations import Operation

Try = tuple[Asked, Groups]
"""A change, and the parts of its batch."""


class ChangeEndpoint(BatchEndpoint):
    """What all routes for changes share."""

    scope = "write"

    async def _once(
        self, request: Request, route: str, body: bytes, principal: Principal | None, tries: Sequence[Try]
    ) -> Mapping[str, Any]:
        """The content of the answer to a change. With an `Idempotency-Key` the change is made once.

        Each of `tries` is made if the conditions of the one before failed. `route` and the body tell requests with the
        same key apart.
        """
        key = request.headers.get(b"idempotency-key")
        caller = Caller(principal.name if principal is not None else None, request.trace)
        arrived_ms = request.arrived_ms
        *firsts, last = tries

        async def work(claim: Claim | None) -> Mapping[str, Any]:
            for number, each in enumerate(firsts):
                try:
                    return await self._try(each, claim and claim.of_step(number), caller, arrived_ms)
                except Problem as problem:
                    if problem.kind is not Kind.CONDITION_FAILED:
                        raise
            return await self._try(last, claim and claim.of_step(len(firsts)), caller, arrived_ms)

        if key is None or principal is None:
            return await work(None)
        digest = fingerprint(route, request.headers.get(b"content-type"), body)
        # A retry may come while this runs: it must find the outcome even if this client disconnects.
        return await asyncio.shield(
            asyncio.ensure_future(self._idempotency.run(principal.name, check_key(key), digest, work))
        )

    async def _try(self, each: Try, claim: Claim | None, caller: Caller, arrived_ms: int) -> Mapping[str, Any]:
        asked, groups = each
        retain_ms = self._idempotency.retain_ms if claim is not None else 0
        results = await self._batches.run(
            asked.operation, groups, retain_ms=retain_ms, claim=claim, caller=caller, arrived_ms=arrived_ms
        )
        return self.content(results, asked)

    def content(self, results: Sequence[Result], asked: Asked) -> Mapping[str, Any]:
        """The content of the answer to a change with these `results`.

        Raises:
            Problem: the worst of the failures; rejected keys are counted.
        """
        try:
            return success_or_problem(results, asked)
        except Problem as problem:
            for reason in problem.members["reasons"]:
                if reason["code"] in FINAL_WORDS:
                    self._metrics.conditions_failed(self.path, reason["code"], reason["keys"])
            raise


class ChangePlan(Plan):
    """A change of a batch, as its request asks for it."""

    __slots__ = ("_accept", "_endpoint", "asked")

    def __init__(self, endpoint: ChangeEndpoint, asked: Asked, groups: Groups, caller: Caller, accept: Format) -> None:
        super().__init__(asked.operation, groups, caller)
        self._endpoint = endpoint
        self.asked = asked
        self._accept = accept

    def conclude(self, results: Sequence[Result]) -> Answer:
        return document(self._endpoint.content(results, self.asked), self._accept)


class ChangeBatch(ChangeEndpoint, PlannedEndpoint):
    """What the routes share that change a batch."""

    @abstractmethod
    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Asked | Steps[Asked]:
        """Decode a body into the parts of an empty batch; a large one in steps.

        Raises:
            Problem: 400.
        """

    def plan(self, request: Request, body: bytes, user: str | None) -> ChangePlan | Steps[ChangePlan]:
        groups = self._batches.groups()
        asked = self.fill(groups, body, format_of(request.headers.get(b"content-type")))
        if isinstance(asked, Asked):
            return self._plan(request, user, groups, asked)
        return self._plan_in_steps(request, user, groups, asked)

    def _plan(self, request: Request, user: str | None, groups: Groups, asked: Asked) -> ChangePlan:
        caller = Caller(user, request.trace)
        return ChangePlan(self, asked, groups, caller, accepted(request.headers.get(b"accept")))

    def _plan_in_steps(
        self, request: Request, user: str | None, groups: Groups, filling: Steps[Asked]
    ) -> Steps[ChangePlan]:
        return self._plan(request, user, groups, (yield from filling))

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        if principal is None or b"idempotency-key" not in request.headers:
            return await super().handle(request, body, principal)
        plan = self.plan(request, body, principal.name)
        if not isinstance(plan, ChangePlan):
            plan = await self._take(plan, len(body), principal.name)
        content = await self._once(request, self.path, body, principal, [(plan.asked, plan.groups)])
        return document(content, accepted(request.headers.get(b"accept")))


class Write(ChangeBatch):
    """`POST /api/write`: stores every pair of `data`."""

    path = "/api/write"

    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Asked | Steps[Asked]:
        if len(body) > AT_ONCE:
            return self._fill_in_steps(groups, body, body_format)
        asked = add_write(groups, body, body_format, self._limits)
        self._metrics.batch(self.path, asked.keys)
        return asked

    def _fill_in_steps(self, groups: Groups, body: bytes, body_format: Format) -> Steps[Asked]:
        asked = yield from add_large_write(groups, body, body_format, self._limits)
        self._metrics.batch(self.path, asked.keys)
        return asked


class Delete(ChangeBatch):
    """`POST /api/delete`: removes `keys` and counts those that existed."""

    path = "/api/delete"

    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Asked | Steps[Asked]:
        keys, members = self._keys(body, body_format, DeleteBody)
        if members is not None:
            return self._add_conditions(groups, keys, members)
        groups.add_keys(keys, self._limits)
        return Asked(Operation.DELETE, len(keys))

    def _add_conditions(self, groups: Groups, keys: list[str], members: Members) -> Steps[Asked]:
        conditions = yield from delete_conditions(members)
        if all(condition is None for condition in conditions.all()):
            groups.add_keys(keys, self._limits)
            return Asked(Operation.DELETE, len(keys))
        groups.add_rows(Operation.DELETE_IF, [(key, conditions.of(key)) for key in keys], self._limits, "keys")
        return Asked(Operation.DELETE_IF, len(keys))


class Touch(ChangeBatch):
    """`POST /api/touch`: gives `keys` another expiry and keeps their values."""

    path = "/api/touch"

    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Steps[Asked]:
        keys, members = self._keys(body, body_format, TouchBody)
        return self._add_expiries(groups, keys, members or Members({}, body_format, self._limits, (), "keys"))

    def _add_expiries(self, groups: Groups, keys: list[str], members: Members) -> Steps[Asked]:
        expiries = yield from touch_expiries(members, keys)
        groups.add_rows(Operation.TOUCH, [(key, expiries.of(key)) for key in keys], self._limits, "keys")
        return Asked(Operation.TOUCH, len(keys))


class Increment(ChangeBatch):
    """`POST /api/increment`: adds to the integers that keys hold."""

    path = "/api/increment"

    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Steps[Asked]:
        count = yield from add_increments(groups, body, body_format, self._limits)
        self._metrics.batch(self.path, count)
        return Asked(Operation.INCREMENT, count)
