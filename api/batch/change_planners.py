"""Plans changes: decodes the bodies of writes, deletes, touches and increments, and makes their answers."""

from __future__ import annotations

from collections.abc import Sequence

from api.batch.bodies import DeleteBody, TouchBody
from api.batch.change_results import Asked, content_of
from api.batch.counters import add_increments
from api.batch.members import Members
from api.batch.observer import BatchObserver
from api.batch.options import delete_conditions, touch_expiries
from api.batch.outcomes import Result
from api.batch.planner import Plan, Planner
from api.batch.split import Groups
from api.batch.steps import AT_ONCE, Steps
from api.batch.write_body import add_large_write, add_write
from api.http.negotiation import Format, accepted, format_of
from api.http.request import Request
from api.http.response import Answer, document
from api.queue.pending import Caller
from protocol.operations import Operation


class ChangePlan(Plan):
    """A change of a batch, as its request asks for it."""

    __slots__ = ("_accept", "_metrics", "_route", "asked")

    def __init__(
        self, asked: Asked, groups: Groups, caller: Caller, accept: Format, route: str, metrics: BatchObserver
    ) -> None:
        super().__init__(asked.operation, groups, caller)
        self.asked = asked
        self._accept = accept
        self._route = route
        self._metrics = metrics

    def conclude(self, results: Sequence[Result]) -> Answer:
        return document(content_of(results, self.asked, self._route, self._metrics), self._accept)


class ChangePlanner(Planner):
    """What the planners of changes share."""

    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Asked | Steps[Asked]:
        """Decode a body into the parts of an empty batch; a large one in steps.

        Raises:
            Problem: 400.
        """
        raise NotImplementedError

    def plan(self, request: Request, body: bytes, user: str | None) -> ChangePlan | Steps[ChangePlan]:
        """As for every planner."""
        groups = self._batches.groups()
        asked = self.fill(groups, body, format_of(request.headers.get(b"content-type")))
        if isinstance(asked, Asked):
            return self._plan(request, user, groups, asked)
        return self._plan_in_steps(request, user, groups, asked)

    def _plan(self, request: Request, user: str | None, groups: Groups, asked: Asked) -> ChangePlan:
        caller = Caller(user, request.trace)
        accept = accepted(request.headers.get(b"accept"))
        return ChangePlan(asked, groups, caller, accept, self._route, self._metrics)

    def _plan_in_steps(
        self, request: Request, user: str | None, groups: Groups, filling: Steps[Asked]
    ) -> Steps[ChangePlan]:
        return self._plan(request, user, groups, (yield from filling))


class WritePlanner(ChangePlanner):
    """Plans the requests of `POST /api/write`."""

    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Asked | Steps[Asked]:
        if len(body) > AT_ONCE:
            return self._fill_in_steps(groups, body, body_format)
        asked = add_write(groups, body, body_format, self._limits)
        self._metrics.batch(self._route, asked.keys)
        return asked

    def _fill_in_steps(self, groups: Groups, body: bytes, body_format: Format) -> Steps[Asked]:
        asked = yield from add_large_write(groups, body, body_format, self._limits)
        self._metrics.batch(self._route, asked.keys)
        return asked


class DeletePlanner(ChangePlanner):
    """Plans the requests of `POST /api/delete`."""

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


class TouchPlanner(ChangePlanner):
    """Plans the requests of `POST /api/touch`."""

    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Steps[Asked]:
        keys, members = self._keys(body, body_format, TouchBody)
        return self._add_expiries(groups, keys, members or Members({}, body_format, self._limits, (), "keys"))

    def _add_expiries(self, groups: Groups, keys: list[str], members: Members) -> Steps[Asked]:
        expiries = yield from touch_expiries(members, keys)
        groups.add_rows(Operation.TOUCH, [(key, expiries.of(key)) for key in keys], self._limits, "keys")
        return Asked(Operation.TOUCH, len(keys))


class IncrementPlanner(ChangePlanner):
    """Plans the requests of `POST /api/increment`."""

    def fill(self, groups: Groups, body: bytes, body_format: Format) -> Steps[Asked]:
        count = yield from add_increments(groups, body, body_format, self._limits)
        self._metrics.batch(self._route, count)
        return Asked(Operation.INCREMENT, count)
