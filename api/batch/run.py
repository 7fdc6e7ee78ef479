"""Runs batches: makes chunks of their parts, dispatches these in parallel, and returns the outcome of each part."""

from __future__ import annotations

from collections.abc import Callable

from api.batch.errand import Claim, Errand, Results
from api.batch.outcomes import Result, doubted
from api.batch.split import Groups
from api.queue.dispatcher import Dispatcher
from api.queue.pending import NOBODY, Caller
from api.queue.topology import Topology
from protocol.clock import now_ms
from protocol.operations import Operation
from protocol.settings import BatchSettings


class Batches:
    """Runs batches."""

    def __init__(self, dispatcher: Dispatcher, topology: Topology, settings: BatchSettings) -> None:
        self._dispatcher = dispatcher
        self._topology = topology
        self._timeout_ms = int(settings.request_timeout_s * 1000)

    def groups(self) -> Groups:
        """Make an empty batch."""
        return Groups(self._topology.map)

    def begin(
        self, operation: Operation, groups: Groups, caller: Caller, arrived_ms: int, done: Callable[[Results], None]
    ) -> None:
        """Run `operation` on every part of a small batch without a claim.

        `done` is called with the outcomes of the parts, now or later. `arrived_ms` is as for `run`.

        Raises:
            OverloadedError: not admitted; nothing was applied, and `done` is not called.
        """
        deadline_ms = arrived_ms + self._timeout_ms
        errand = Errand(self._dispatcher, self._topology, operation, deadline_ms, caller=caller)
        errand.begin(groups.parts(), done)

    async def run(
        self,
        operation: Operation,
        groups: Groups,
        *,
        retain_ms: int = 0,
        claim: Claim | None = None,
        caller: Caller = NOBODY,
        arrived_ms: int | None = None,
    ) -> list[Result]:
        """Run `operation` on every part and return the outcome of each.

        With a `claim` each chunk has the same id in every try, otherwise a new one. `arrived_ms` is the Unix time in
        milliseconds at which the request arrived: its deadline counts from then.

        Raises:
            OverloadedError: not admitted; nothing was applied, now or by an earlier try under the same claim.
        """
        deadline_ms = _began_ms(arrived_ms, claim) + self._timeout_ms
        errand = Errand(
            self._dispatcher, self._topology, operation, deadline_ms, retain_ms=retain_ms, claim=claim, caller=caller
        )
        results = await errand.run(groups.parts())
        if claim is not None and claim.repeated:
            return [Result(result.part, doubted(result.outcome)) for result in results]
        return results


def _began_ms(arrived_ms: int | None, claim: Claim | None) -> int:
    """The moment from which the time of a request counts: its arrival; if that is unknown, its claim, otherwise now."""
    if arrived_ms is not None:
        return arrived_ms
    return claim.asked_ms if claim is not None else now_ms()
