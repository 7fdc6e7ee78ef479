"""`POST /api/import`: stores the items in lines, such as those of an export."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from api.batch.endpoints import BatchEndpoint
from api.batch.errand import Claim
from api.batch.idempotency import check_key, fingerprint
from api.batch.outcomes import Result
from api.batch.split import Groups
from api.batch.steps import Steps
from api.http.endpoint import Principal
from api.http.negotiation import accepted
from api.http.problems import Kind, Problem
from api.http.query import number, parameters
from api.http.request import Request
from api.http.response import Answer, document
from api.overload.errors import OverloadedError
from api.queue.pending import Caller
from api.scan.import_lines import Import, Item, read_lines
from api.scan.import_result import result_of
from protocol.frames import Outcome
from protocol.operations import Operation, Status

MAX_LINE = 2**53

_STEP_ROWS = 2000
_MEDIA_TYPES = (b"application/x-ndjson", b"application/ndjson")


class Importing(BatchEndpoint):
    """`POST /api/import`: each item is stored, existed already, or is rejected."""

    path = "/api/import"
    scope = "write"

    def __init__(self, count_lines: Callable[[str, int], None], *base: Any) -> None:
        super().__init__(*base)
        self._count_lines = count_lines

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        _check_media_type(request.headers.get(b"content-type"))
        first_line = number(parameters(request.query, ("first_line",)), "first_line", 1, 0, MAX_LINE)
        user = principal.name if principal is not None else None
        written, updates = self._batches.groups(), self._batches.groups()
        found = await self._take(self._read(body, first_line, written, updates), len(body), user)
        self._metrics.batch(self.path, len(found.items))
        caller, arrived_ms = Caller(user, request.trace), request.arrived_ms

        async def work(claim: Claim | None) -> Mapping[str, Any]:
            retain_ms = self._idempotency.retain_ms if claim is not None else 0
            runs = [
                self._batches.run(
                    operation, groups, retain_ms=retain_ms, claim=claim, caller=caller, arrived_ms=arrived_ms
                )
                for operation, groups in ((Operation.WRITE, written), (Operation.UPDATE, updates))
                if groups.parts()
            ]
            outcomes = await asyncio.gather(*runs, return_exceptions=True)
            of_each = iter(_settled(outcomes, [groups for groups in (written, updates) if groups.parts()]))
            members, verdict = result_of(
                found,
                next(of_each) if written.parts() else (),
                next(of_each) if updates.parts() else (),
            )
            self._count(members, len(verdict.failed) if verdict is not None else 0)
            if verdict is not None:
                raise verdict.problem(members)
            return members

        key = request.headers.get(b"idempotency-key")
        if key is None or principal is None:
            content = await work(None)
        else:
            digest = fingerprint(f"{self.path}?{first_line}", request.headers.get(b"content-type"), body)
            # A retry may come while this runs: it must find the outcome even if this client disconnects.
            content = await asyncio.shield(
                asyncio.ensure_future(self._idempotency.run(principal.name, check_key(key), digest, work))
            )
        return document(content, accepted(request.headers.get(b"accept")))

    def _read(self, body: bytes, first_line: int, written: Groups, updates: Groups) -> Steps[Import]:
        """Decode the lines, and split their items among the shards."""
        found = yield from read_lines(body, first_line, self._limits)
        for groups, operation, if_absent in ((written, Operation.WRITE, False), (updates, Operation.UPDATE, True)):
            rows = [_row(key, item) for key, item in found.items.items() if item.if_absent is if_absent]
            for start in range(0, len(rows), _STEP_ROWS):
                yield
                groups.add_rows(operation, rows[start : start + _STEP_ROWS], self._limits, "key")
        return found

    def _count(self, members: Mapping[str, Any], failed: int) -> None:
        count = self._count_lines
        count("applied", members["applied"])
        count("already_there", members["already_there"])
        count("rejected", len(members["rejected"]) + members["rejected_more"])
        count("failed", failed)


def _row(key: str, item: Item) -> tuple[Any, ...]:
    """The row of an item, in the form of `protocol.rows`; False: the key must be absent."""
    entry = (key, item.value) if item.expiry is None else (key, item.value, item.expiry)
    return (*entry, False) if item.if_absent else entry


def _settled(outcomes: list[list[Result] | BaseException], groups: list[Groups]) -> list[list[Result]]:
    """The outcomes of the parts of each run. If only one run was admitted, the parts of the other were not applied.

    Raises:
        OverloadedError: no run was admitted.
    """
    refused = [each for each in outcomes if isinstance(each, OverloadedError)]
    for each in outcomes:
        if isinstance(each, BaseException) and (len(refused) == len(outcomes) or not isinstance(each, OverloadedError)):
            raise each
    return [
        [Result(part, Outcome(b"", Status.UNREACHABLE, str(each))) for part in parts.parts()]
        if isinstance(each, BaseException)
        else each
        for each, parts in zip(outcomes, groups, strict=True)
    ]


def _check_media_type(content_type: bytes | None) -> None:
    media_type, *more = (part.strip() for part in (content_type or _MEDIA_TYPES[0]).lower().split(b";"))
    charsets = {part.removeprefix(b"charset=").strip(b'"') for part in more if part.startswith(b"charset=")}
    if media_type not in _MEDIA_TYPES or not charsets <= {b"utf-8", b"utf8", b"us-ascii"}:
        raise Problem(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/x-ndjson in UTF-8",
            headers={"Accept-Post": "application/x-ndjson"},
        )
