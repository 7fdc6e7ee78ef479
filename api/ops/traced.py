"""Endpoints with a span for each sampled request. They wrap the endpoints only if traces are on."""

from __future__ import annotations

import random
import time

from api.http.endpoint import Reply, Served
from api.http.request import Request
from api.http.response import Answer
from api.ops.spans import Spans
from protocol.stamps import is_sampled


class Traced:
    """An endpoint that makes spans of sampled requests: those whose `traceparent` asks for it, and a share of those
    without one.
    """

    def __init__(self, endpoint: Served, spans: Spans, ratio: float) -> None:
        self.path = endpoint.path
        self.body_limit = endpoint.body_limit
        self.methods = endpoint.methods
        self.check = endpoint.check
        self.user_of = endpoint.user_of
        self._answer = endpoint.answer
        self._begin = endpoint.begin
        self._spans = spans
        self._ratio = ratio

    async def answer(self, request: Request, body: bytes) -> Answer:
        """Answer a request that passed `check`; never raises."""
        return await (self._traced(request, body) if self._chosen(request) else self._answer(request, body))

    def begin(self, request: Request, body: bytes, reply: Reply) -> None:
        """The same; only a traced request needs a task for its span."""
        if self._chosen(request):
            reply(self._traced(request, body))
        else:
            self._begin(request, body, reply)

    def _chosen(self, request: Request) -> bool:
        parent = request.trace
        # The choice of traced requests is not a secret.
        return is_sampled(parent) if parent is not None else random.random() < self._ratio  # noqa: S311

    async def _traced(self, request: Request, body: bytes) -> Answer:
        parent = request.trace
        waited_ns = int((time.monotonic() - request.arrived) * 1e9)
        request_id = request.request_id.decode("ascii")
        begun = self._spans.begin(request.method, self.path, request_id, parent, time.time_ns() - waited_ns)
        # From here on this span is the parent of all other spans of the request.
        request.headers = {**request.headers, b"traceparent": begun.traceparent}
        status = 500
        try:
            answer = await self._answer(request, body)
            status = answer.status
        finally:
            self._spans.end(begun, status)
        return answer
