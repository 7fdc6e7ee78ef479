"""Plans reads: decodes what a request asks for, and makes the answer of the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.batch.bodies import ReadBody
from api.batch.observer import BatchObserver
from api.batch.options import NOTHING_ELSE, ReadOptions, read_options
from api.batch.outcomes import Result, check, some_of
from api.batch.planner import Plan, Planner
from api.batch.read_answer import NO_MORE, check_size, large_read_answer, read_answer
from api.batch.read_tuples import as_plain_read
from api.batch.run import Batches
from api.batch.split import Groups
from api.batch.steps import AT_ONCE, LongWork, Steps, at_once
from api.http.negotiation import Format, accepted, format_of
from api.http.request import Request
from api.http.response import Answer
from api.overload.memory_budgets import AnswerBudget, AnswerShare
from api.queue.pending import Caller
from protocol.operations import Operation
from protocol.settings import BatchSettings


class ReadPlan(Plan):
    """A read; its answer holds memory from its first outcome on."""

    __slots__ = ("_accept", "_max_bytes", "_options", "_share")

    def __init__(
        self,
        groups: Groups,
        caller: Caller,
        options: ReadOptions,
        accept: Format,
        share: AnswerShare,
        max_bytes: int,
    ) -> None:
        super().__init__(Operation.READ_TUPLES if options.wanted else Operation.READ, groups, caller)
        self._options = options
        self._accept = accept
        self._share = share
        self._max_bytes = max_bytes

    def drop(self) -> None:
        self._share.release()

    def conclude(self, results: Sequence[Result]) -> Answer | Steps[Answer]:
        more: Mapping[str, Any] = NO_MORE
        if self._options.partial:
            results, more = some_of(results, Operation.READ)
        else:
            check(results, Operation.READ)
        if self._options.wanted:
            steps = self._tuples_answer(results, more)
            stored = sum(len(result.outcome.payload) for result in results)
            return at_once(steps) if stored <= AT_ONCE else steps
        return self._answer(results, more)

    def _tuples_answer(self, results: Sequence[Result], more: Mapping[str, Any]) -> Steps[Answer]:
        plain, meta = yield from as_plain_read(results, self._options.wanted)
        answer = self._answer(plain, {"meta": meta, **more})
        return answer if isinstance(answer, Answer) else (yield from answer)

    def _answer(self, results: Sequence[Result], more: Mapping[str, Any]) -> Answer | Steps[Answer]:
        size = check_size(results, self._max_bytes)
        if size <= AT_ONCE:
            return read_answer(results, self._accept, more, self._share)
        return self._large_answer(results, more, size)

    def _large_answer(self, results: Sequence[Result], more: Mapping[str, Any], size: int) -> Steps[Answer]:
        answer = yield from large_read_answer(results, self._accept, more, self._share)
        # As JSON it may be several times as large as the stored values.
        self._share.grow(len(answer.body) - size)
        return answer


class ReadPlanner(Planner):
    """Plans the requests of `POST /api/read`."""

    def __init__(
        self,
        answers: AnswerBudget,
        route: str,
        batches: Batches,
        metrics: BatchObserver,
        long_work: LongWork,
        limits: BatchSettings,
    ) -> None:
        super().__init__(route, batches, metrics, long_work, limits)
        self._answers = answers

    def plan(self, request: Request, body: bytes, user: str | None) -> ReadPlan:
        """Decode a request.

        Raises:
            Problem: 400 or 415.
            OverloadedError: answers that wait to be sent fill the memory.
        """
        keys, members = self._keys(body, format_of(request.headers.get(b"content-type")), ReadBody)
        options = read_options(members) if members is not None else NOTHING_ELSE
        groups = self._batches.groups()
        groups.add_keys(keys, self._limits)
        accept = accepted(request.headers.get(b"accept"))
        share = self._answers.share(user, len(keys))
        caller = Caller(user, request.trace, share.take)
        return ReadPlan(groups, caller, options, accept, share, self._limits.max_answer_bytes)
