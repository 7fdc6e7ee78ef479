"""What the routes of batches share, and the one that reads; those that change something are in `change_endpoints`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.batch.bodies import ReadBody
from api.batch.decode import KeysBody, decode_keys
from api.batch.idempotency import Idempotency
from api.batch.members import Members
from api.batch.options import NOTHING_ELSE, ReadOptions, read_options
from api.batch.outcomes import Result, check, some_of
from api.batch.read_answer import check_size, large_read_answer, read_answer
from api.batch.read_tuples import as_plain_read
from api.batch.run import Batches
from api.batch.split import check_count
from api.batch.steps import AT_ONCE, LongWork, Steps, T, at_once
from api.http.endpoint import Endpoint, Principal
from api.http.negotiation import Format, accepted, format_of
from api.http.request import Request
from api.http.response import Answer
from api.ops.metrics import Metrics
from api.overload.memory_budgets import AnswerBudget
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
        """The keys that a body names, and the members beside them, if there are any."""
        keys, more = decode_keys(body, body_format, self._limits, kind)
        check_count(len(keys), "keys", self._limits)
        self._metrics.batch(self.path, len(keys))
        if not more:
            return keys, None
        return keys, Members(more, body_format, self._limits, frozenset(keys), "keys")

    async def _take(self, steps: Steps[T], size: int, user: str | None) -> T:
        """Take the steps of work on `size` bytes: at once if these are few."""
        return at_once(steps) if size <= AT_ONCE else await self._long_work.run(steps, user)


class Read(BatchEndpoint):
    """`POST /api/read`: the values of `keys`."""

    path = "/api/read"
    scope = "read"

    def __init__(self, answers: AnswerBudget, *base: Any) -> None:
        super().__init__(*base)
        self._answers = answers

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        keys, members = self._keys(body, format_of(request.headers.get(b"content-type")), ReadBody)
        options = read_options(members) if members is not None else NOTHING_ELSE
        groups = self._batches.groups()
        groups.add_keys(keys, self._limits)
        operation = Operation.READ_TUPLES if options.wanted else Operation.READ
        user = principal.name if principal is not None else None
        share = self._answers.share(user)
        try:
            caller = Caller(user, request.trace, share.take)
            results = await self._batches.run(operation, groups, caller=caller, arrived_ms=request.arrived_ms)
            answer = await self._answer(results, options, accepted(request.headers.get(b"accept")), share, user)
        except BaseException:
            share.release()
            raise
        return answer._replace(share=share)

    async def _answer(
        self,
        results: Sequence[Result],
        options: ReadOptions,
        accept: Format,
        share: AnswerBudget.Share,
        user: str | None,
    ) -> Answer:
        more: dict[str, Any] = {}
        if options.partial:
            results, more = some_of(results, Operation.READ)
        else:
            check(results, Operation.READ)
        if options.wanted:
            size = sum(len(result.outcome.payload) for result in results)
            results, meta = await self._take(as_plain_read(results, options.wanted), size, user)
            more = {"meta": meta, **more}
        size = check_size(results, self._limits.max_answer_bytes)
        if size <= AT_ONCE:
            return read_answer(results, accept, more)
        answer = await self._long_work.run(large_read_answer(results, accept, more), user)
        # As JSON it may be several times as large as what is stored.
        share.grow(len(answer.body) - size)
        return answer
