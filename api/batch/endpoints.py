"""The routes under `/api/`: login and logout, write, read and delete."""

from __future__ import annotations

import asyncio
from typing import Any

from api.batch.decode import decode_keys
from api.batch.idempotency import Idempotency, check_key, fingerprint
from api.batch.outcomes import check
from api.batch.read_answer import check_size, large_read_answer, read_answer
from api.batch.run import Batches, Claim
from api.batch.split import Groups, check_count
from api.batch.steps import AT_ONCE, LongWork
from api.batch.write_body import add_large_write, add_write
from api.http.endpoint import Endpoint, Principal
from api.http.negotiation import accepted, format_of
from api.http.request import Request
from api.http.response import Answer, document
from api.ops.metrics import Metrics
from api.overload.memory_budgets import AnswerBudget
from api.queue.pending import Caller
from protocol.operations import Operation

SUCCESS = {"status": "success"}


class BatchEndpoint(Endpoint):
    """What write, read and delete share."""

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

    def _keys(self, request: Request, body: bytes) -> Groups:
        """The keys that a read or a delete names."""
        keys = decode_keys(body, format_of(request.headers.get(b"content-type")), self._limits)
        check_count(len(keys), "keys", self._limits)
        groups = self._batches.groups()
        groups.add_keys(keys, self._limits)
        self._metrics.batch(self.path, len(keys))
        return groups

    async def _change(
        self, request: Request, body: bytes, principal: Principal | None, operation: Operation, groups: Groups
    ) -> Answer:
        """Run a write or a delete, once if the request has an `Idempotency-Key`."""
        key = request.headers.get(b"idempotency-key")
        caller = Caller(principal.name if principal is not None else None, request.trace)
        arrived_ms = request.arrived_ms

        async def work(claim: Claim | None) -> dict[str, Any]:
            retain_ms = self._idempotency.retain_ms if claim is not None else 0
            results = await self._batches.run(
                operation, groups, retain_ms=retain_ms, claim=claim, caller=caller, arrived_ms=arrived_ms
            )
            check(results, operation)
            if operation is Operation.DELETE:
                return {**SUCCESS, "deleted": sum(result.outcome.payload for result in results)}
            return SUCCESS

        if key is None or principal is None:
            content = await work(None)
        else:
            digest = fingerprint(self.path, request.headers.get(b"content-type"), body)
            # A retry may come while this runs: it must find the outcome even if this client goes away.
            content = dict(
                await asyncio.shield(
                    asyncio.ensure_future(self._idempotency.run(principal.name, check_key(key), digest, work))
                )
            )
        return document(content, accepted(request.headers.get(b"accept")))


class Write(BatchEndpoint):
    """`POST /api/write`: stores every pair of `data`."""

    path = "/api/write"
    scope = "write"

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        body_format = format_of(request.headers.get(b"content-type"))
        groups = self._batches.groups()
        if len(body) <= AT_ONCE:
            count = add_write(groups, body, body_format, self._limits)
        else:
            steps = add_large_write(groups, body, body_format, self._limits)
            count = await self._long_work.run(steps, principal.name if principal is not None else None)
        self._metrics.batch(self.path, count)
        return await self._change(request, body, principal, Operation.WRITE, groups)


class Delete(BatchEndpoint):
    """`POST /api/delete`: removes `keys` and counts those that were there."""

    path = "/api/delete"
    scope = "write"

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        groups = self._keys(request, body)
        return await self._change(request, body, principal, Operation.DELETE, groups)


class Read(BatchEndpoint):
    """`POST /api/read`: the values of `keys`."""

    path = "/api/read"
    scope = "read"

    def __init__(self, answers: AnswerBudget, *base: Any) -> None:
        super().__init__(*base)
        self._answers = answers

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        groups = self._keys(request, body)
        user = principal.name if principal is not None else None
        share = self._answers.share(user)
        try:
            caller = Caller(user, request.trace, share.take)
            results = await self._batches.run(Operation.READ, groups, caller=caller, arrived_ms=request.arrived_ms)
            check(results, Operation.READ)
            size = check_size(results, self._limits.max_answer_bytes)
            accept = accepted(request.headers.get(b"accept"))
            if size <= AT_ONCE:
                answer = read_answer(results, accept)
            else:
                answer = await self._long_work.run(large_read_answer(results, accept), user)
                # As JSON it may be several times as large as what is stored.
                share.grow(len(answer.body) - size)
        except BaseException:
            share.release()
            raise
        return answer._replace(share=share)
