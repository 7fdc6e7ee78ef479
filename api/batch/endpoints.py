"""What the routes of batches share; the routes themselves are in other modules."""

from __future__ import annotations

from typing import Any

from api.batch.idempotency import Idempotency
from api.batch.observer import BatchObserver
from api.batch.planner import Planner
from api.batch.run import Batches
from api.batch.steps import AT_ONCE, LongWork, Steps, T, at_once
from api.http.endpoint import Endpoint, Principal, Reply, error_answer
from api.http.request import Request
from api.http.response import Answer


class BatchEndpoint(Endpoint):
    """What all routes of batches share."""

    def __init__(
        self,
        batches: Batches,
        idempotency: Idempotency,
        metrics: BatchObserver,
        long_work: LongWork,
        *base: Any,
    ) -> None:
        super().__init__(*base)
        self._batches = batches
        self._idempotency = idempotency
        self._metrics = metrics
        self._long_work = long_work

    async def _take(self, steps: Steps[T], size: int, user: str | None) -> T:
        """Do work on `size` bytes: at once if it is small."""
        return at_once(steps) if size <= AT_ONCE else await self._long_work.run(steps, user)


class PlannedEndpoint(BatchEndpoint):
    """A route whose requests are one batch each."""

    _planner: Planner

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        return await self._planner.run(request, body, principal.name if principal is not None else None)

    def begin(self, request: Request, body: bytes, reply: Reply) -> None:
        """Answer a request that passed `check`; a small one of a user whose account is cached needs no task."""
        if len(body) > AT_ONCE or b"idempotency-key" in request.headers:
            reply(self.answer(request, body))
            return
        try:
            principal = self._authenticator.known(request.headers.get(b"authorization"), self.scope)
        except Exception as error:  # noqa: BLE001 - the client gets a problem document; unexpected errors are logged
            reply(error_answer(error, request.request_id))
            return
        if principal is None:
            reply(self.answer(request, body))
        else:
            self._planner.begin(request, body, principal.name, reply)
