"""The routes for changes: write, delete, touch and increment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from api.batch.change_planners import (
    ChangePlan,
    ChangePlanner,
    DeletePlanner,
    IncrementPlanner,
    TouchPlanner,
    WritePlanner,
)
from api.batch.change_results import Asked, content_of
from api.batch.endpoints import BatchEndpoint, PlannedEndpoint
from api.batch.errand import Claim
from api.batch.idempotency import check_key, fingerprint
from api.batch.split import Groups
from api.http.endpoint import Principal
from api.http.negotiation import accepted
from api.http.problems import Kind, Problem
from api.http.request import Request
from api.http.response import Answer, document
from api.queue.pending import Caller

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
        return content_of(results, asked, self.path, self._metrics)


class ChangeBatch(ChangeEndpoint, PlannedEndpoint):
    """What the routes share that change a batch."""

    kind: type[ChangePlanner]
    _planner: ChangePlanner

    def __init__(self, *base: Any) -> None:
        super().__init__(*base)
        self._planner = self.kind(self.path, self._batches, self._metrics, self._long_work, self._limits)

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        if principal is None or b"idempotency-key" not in request.headers:
            return await super().handle(request, body, principal)
        plan = self._planner.plan(request, body, principal.name)
        if not isinstance(plan, ChangePlan):
            plan = await self._take(plan, len(body), principal.name)
        content = await self._once(request, self.path, body, principal, [(plan.asked, plan.groups)])
        return document(content, accepted(request.headers.get(b"accept")))


class Write(ChangeBatch):
    """`POST /api/write`: stores every pair of `data`."""

    path = "/api/write"
    kind = WritePlanner


class Delete(ChangeBatch):
    """`POST /api/delete`: removes `keys` and counts those that existed."""

    path = "/api/delete"
    kind = DeletePlanner


class Touch(ChangeBatch):
    """`POST /api/touch`: gives `keys` another expiry and keeps their values."""

    path = "/api/touch"
    kind = TouchPlanner


class Increment(ChangeBatch):
    """`POST /api/increment`: adds to the integers that keys hold."""

    path = "/api/increment"
    kind = IncrementPlanner
