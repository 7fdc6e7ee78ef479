"""`POST /api/scan`: a page of keys in order."""

from __future__ import annotations

import asyncio

from api.batch.steps import AT_ONCE, LongWork, Steps, at_once
from api.http.endpoint import Authenticator, Endpoint, Principal
from api.http.negotiation import accepted, format_of
from api.http.request import Request
from api.http.response import Answer
from api.queue.pending import Caller
from api.scan.body import decode_scan
from api.scan.cursors import CursorOf
from api.scan.merge import Limits
from api.scan.page import page
from api.scan.reading import Reading
from protocol.settings import BatchSettings

GUEST_SLICE_S = 0.001
"""A page is made in slices of a millisecond between other requests: those come first."""

MAX_VALUE_BYTES = 16 * 1024 * 1024
"""The limit of the values of a page, unless a single value is larger."""


class Scan(Endpoint):
    """`POST /api/scan`: a page of keys in order, and the cursor of the next."""

    path = "/api/scan"
    scope = "read"
    max_body = 32 * 1024

    def __init__(
        self, reading: Reading, long_work: LongWork, authenticator: Authenticator, limits: BatchSettings
    ) -> None:
        super().__init__(authenticator, limits)
        self._reading = reading
        self._long_work = long_work

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        cursors = self._reading.cursors
        asked = decode_scan(body, format_of(request.headers.get(b"content-type")), cursors, self._limits.max_key_bytes)
        accept = accepted(request.headers.get(b"accept"))
        user = principal.name if principal is not None else None
        share = self._reading.answers.share(user)
        try:
            merge = self._reading.merge(asked.place, Caller(user, request.trace, share.take))
            items = await merge.read(self._bounds(request, asked.limit))
            size = sum(memoryview(item.value).nbytes for item in items)
            cursor = None
            if not merge.complete:
                place = asked.place._replace(position=merge.position, items=asked.place.items + len(items))
                cursor = cursors.make(CursorOf.SCAN, place)
            steps = page(items, asked.place.selection, cursor, accept)
            if size <= AT_ONCE:
                answer = await self._in_turns(steps) if self._reading.shards.have_others else at_once(steps)
            else:
                answer = await self._long_work.run(steps, user, GUEST_SLICE_S)
                # As JSON it may be several times as large as the stored values.
                share.grow(len(answer.body) - size)
        except BaseException:
            share.release()
            raise
        self._reading.metrics.page(self.path, len(items))
        return answer._replace(share=share)

    async def _in_turns(self, steps: Steps[Answer]) -> Answer:
        """Run all steps, and give other requests a turn after each."""
        while True:
            try:
                next(steps)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            await asyncio.sleep(0)

    def _bounds(self, request: Request, limit: int) -> Limits:
        """A page has as much time as a request. When half of that has passed, it ends with the keys that it has."""
        timeout_s = self._limits.request_timeout_s
        # The loop's clock is the monotonic one, which also gives the arrival of a request.
        return Limits(limit, MAX_VALUE_BYTES, request.arrived + timeout_s / 2, request.arrived + timeout_s)
