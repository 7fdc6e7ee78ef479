"""The routes that change something: write, delete, touch and increment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from api.batch.bodies import DeleteBody, TouchBody
from api.batch.change_results import FINAL_WORDS, Asked, success_or_problem
from api.batch.counters import add_increments
from api.batch.endpoints import BatchEndpoint
from api.batch.errand import Claim
from api.batch.idempotency import check_key, fingerprint
from api.batch.members import Members
from api.batch.options import delete_conditions, touch_expiries
from api.batch.split import Groups
from api.batch.steps import AT_ONCE, Steps
from api.batch.write_body import add_large_write, add_write
from api.http.endpoint import Principal
from api.http.negotiation import accepted, format_of
from api.http.problems import Kind, Problem
from api.http.request import Request
from api.http.response import Answer, document
from api.queue.pending import Caller
from protocol.operations import Operation

Try = tuple[Asked, Groups]
"""A change, and the parts of its batch."""


class ChangeEndpoint(BatchEndpoint):
    """What the routes share that change something."""

    scope = "write"

    async def _change(
        self, request: Request, body: bytes, principal: Principal | None, asked: Asked, groups: Groups
    ) -> Answer:
        """Make a change, once if the request has an `Idempotency-Key`."""
        content = await self._once(request, self.path, body, principal, [(asked, groups)])
        return document(content, accepted(request.headers.get(b"accept")))

    async def _once(
        self, request: Request, route: str, body: bytes, principal: Principal | None, tries: Sequence[Try]
    ) -> Mapping[str, Any]:
        """The content of the answer to a change, which is made once if the request has an `Idempotency-Key`.

        Each of `tries` is made if the conditions of the one before did not hold. `route` tells requests under the same
        key apart, with the body.
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
        # A retry may come while this runs: it must find the outcome even if this client goes away.
        return await asyncio.shield(
            asyncio.ensure_future(self._idempotency.run(principal.name, check_key(key), digest, work))
        )

    async def _try(self, each: Try, claim: Claim | None, caller: Caller, arrived_ms: int) -> Mapping[str, Any]:
        asked, groups = each
        retain_ms = self._idempotency.retain_ms if claim is not None else 0
        results = await self._batches.run(
            asked.operation, groups, retain_ms=retain_ms, claim=claim, caller=caller, arrived_ms=arrived_ms
        )
        try:
            return success_or_problem(results, asked)
        except Problem as problem:
            self._count_refused(problem)
            raise

    def _count_refused(self, problem: Problem) -> None:
        for reason in problem.members["reasons"]:
            if reason["code"] in FINAL_WORDS:
                self._metrics.conditions_failed(self.path, reason["code"], reason["keys"])


class Write(ChangeEndpoint):
    """`POST /api/write`: stores every pair of `data`."""

    path = "/api/write"

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        body_format = format_of(request.headers.get(b"content-type"))
        groups = self._batches.groups()
        if len(body) <= AT_ONCE:
            asked = add_write(groups, body, body_format, self._limits)
        else:
            steps = add_large_write(groups, body, body_format, self._limits)
            asked = await self._long_work.run(steps, principal.name if principal is not None else None)
        self._metrics.batch(self.path, asked.keys)
        return await self._change(request, body, principal, asked, groups)


class Delete(ChangeEndpoint):
    """`POST /api/delete`: removes `keys` and counts those that were there."""

    path = "/api/delete"

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        keys, members = self._keys(body, format_of(request.headers.get(b"content-type")), DeleteBody)
        groups = self._batches.groups()
        if members is None:
            groups.add_keys(keys, self._limits)
            operation = Operation.DELETE
        else:
            user = principal.name if principal is not None else None
            operation = await self._take(self._add_conditions(groups, keys, members), len(body), user)
        return await self._change(request, body, principal, Asked(operation, len(keys)), groups)

    def _add_conditions(self, groups: Groups, keys: list[str], members: Members) -> Steps[Operation]:
        conditions = yield from delete_conditions(members)
        if all(condition is None for condition in conditions.all()):
            groups.add_keys(keys, self._limits)
            return Operation.DELETE
        groups.add_rows(Operation.DELETE_IF, [(key, conditions.of(key)) for key in keys], self._limits, "keys")
        return Operation.DELETE_IF


class Touch(ChangeEndpoint):
    """`POST /api/touch`: gives `keys` another expiry and leaves their values."""

    path = "/api/touch"

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        body_format = format_of(request.headers.get(b"content-type"))
        keys, members = self._keys(body, body_format, TouchBody)
        groups = self._batches.groups()
        steps = self._add_expiries(groups, keys, members or Members({}, body_format, self._limits, (), "keys"))
        await self._take(steps, len(body), principal.name if principal is not None else None)
        return await self._change(request, body, principal, Asked(Operation.TOUCH, len(keys)), groups)

    def _add_expiries(self, groups: Groups, keys: list[str], members: Members) -> Steps[None]:
        expiries = yield from touch_expiries(members, keys)
        groups.add_rows(Operation.TOUCH, [(key, expiries.of(key)) for key in keys], self._limits, "keys")


class Increment(ChangeEndpoint):
    """`POST /api/increment`: adds to the numbers that keys hold."""

    path = "/api/increment"

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        body_format = format_of(request.headers.get(b"content-type"))
        groups = self._batches.groups()
        steps = add_increments(groups, body, body_format, self._limits)
        count = await self._take(steps, len(body), principal.name if principal is not None else None)
        self._metrics.batch(self.path, count)
        return await self._change(request, body, principal, Asked(Operation.INCREMENT, count), groups)
