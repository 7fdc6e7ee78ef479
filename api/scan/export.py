"""`GET /api/export`: all keys of a selection as lines of JSON, however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import orjson

from api.batch.steps import PAUSE_S
from api.http.endpoint import Authenticator, Endpoint, Principal, error_answer
from api.http.problems import Kind, retry_later
from api.http.query import fault, flag, number, parameters
from api.http.request import Request
from api.http.response import Answer
from api.lifecycle import Lifecycle
from api.overload.memory_budgets import AnswerShare
from api.queue.pending import Caller
from api.scan.body import beside_cursor, bound
from api.scan.cursors import CursorOf, Place
from api.scan.items import groups, lines
from api.scan.merge import Limits, Merge
from api.scan.reading import Reading
from api.scan.selection import Selection, bounds
from protocol.scans import Item
from protocol.settings import BatchSettings

MEDIA_TYPE = b"application/x-ndjson"

PAGE_KEYS = 1000
PAGE_BYTES = 256 * 1024
"""The limit of a page's values, unless a single one is larger: so much is held for a client that reads slowly."""

CURSOR_ITEMS = 10_000
CURSOR_S = 5.0
"""After this many items or seconds a line has the cursor."""

_SELECTORS = ("prefix", "start", "end", "values", "segment", "segments")
_PARAMETERS = (*_SELECTORS, "cursor")


class Export(Endpoint):
    """`GET /api/export`: every key of a selection with its value, version and expiry, a line each.

    Before the first byte, a failure gets an answer like any other; after that, the last line reports it. `drain_s` is
    how long an export may continue when the process is about to end.
    """

    path = "/api/export"
    method = "GET"
    scope = "read"
    max_body = 0

    def __init__(
        self,
        reading: Reading,
        lifecycle: Lifecycle,
        drain_s: float,
        authenticator: Authenticator,
        limits: BatchSettings,
    ) -> None:
        super().__init__(authenticator, limits)
        self._reading = reading
        self._lifecycle = lifecycle
        self._drain_s = drain_s

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        place = self._place(request.query)
        user = principal.name if principal is not None else None
        share = self._reading.answers.share(user)
        try:
            merge = self._reading.merge(place, Caller(user, request.trace, share.take))
            first = await merge.read(self._bounds(request.arrived))
        except BaseException:
            share.release()
            raise
        running = _Running(merge, place, share, request)
        return Answer(200, MEDIA_TYPE, b"", share=share, pieces=self._pieces(running, first))

    def _place(self, query: bytes) -> Place:
        """Where the export begins, and its selection.

        Raises:
            Problem: 400, a parameter breaks a rule.
        """
        found = parameters(query, _PARAMETERS)
        cursor = found.get("cursor")
        if cursor is not None:
            beside_cursor(found, _SELECTORS)
            return self._reading.cursors.take(CursorOf.EXPORT, cursor)
        texts = {
            name: bound(name, found[name], self._limits.max_key_bytes)
            for name in ("prefix", "start", "end")
            if name in found
        }
        lower, upper = bounds(texts.get("prefix", b""), texts.get("start", b""), texts.get("end"))
        segments = number(found, "segments", 1, 1, self._reading.topology.map.bucket_count)
        if segments > 1 and "segment" not in found:
            # One segment would look like all keys: it has an `end` line, too.
            raise fault("the parameter segment must say which of the segments, from 0", "segment")
        segment = number(found, "segment", 0, 0, segments - 1)
        values = flag(found, "values", default=True)
        selection = Selection(
            lower, upper, values=values, version=True, expires_at=True, segment=segment, segments=segments
        )
        return Place(selection, None, 0)

    def _bounds(self, began: float) -> Limits:
        """Each page has as much time as a request."""
        timeout_s = self._limits.request_timeout_s
        return Limits(PAGE_KEYS, PAGE_BYTES, began + timeout_s / 2, began + timeout_s, ahead=True)

    async def _pieces(self, running: _Running, page: Sequence[Item]) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        metrics, merge = self._reading.metrics, running.merge
        told_at, told_items = loop.time(), running.items
        must_end = float("inf")
        metrics.export(1)
        try:
            while True:
                for group in groups(page):
                    yield lines(group, running.place.selection)
                    await asyncio.sleep(PAUSE_S if self._reading.shards.have_others else 0)
                running.items += len(page)
                metrics.page(self.path, len(page))
                page = ()
                running.share.keep(merge.held)
                if merge.complete:
                    yield orjson.dumps({"end": True, "items": running.items}) + b"\n"
                    return
                now = loop.time()
                if running.items - told_items >= CURSOR_ITEMS or now - told_at >= CURSOR_S:
                    told_at, told_items = now, running.items
                    yield orjson.dumps({"cursor": self._cursor(running), "items": running.items}) + b"\n"
                if self._lifecycle.draining:
                    must_end = min(must_end, now + self._drain_s)
                try:
                    if now >= must_end:
                        raise retry_later(Kind.NOT_READY, "this api process ends; go on with the cursor")  # noqa: TRY301
                    # An export may take hours; a user who is disabled meanwhile must not get the rest.
                    await self._authenticator.authenticate_again(running.authorization, self.scope)
                    page = await merge.read(self._bounds(now))
                except Exception as error:  # noqa: BLE001 - the last line reports every error
                    problem = bytes(error_answer(error, running.request_id).body)
                    cursor = orjson.dumps(self._cursor(running))
                    yield b'{"error":' + problem + b',"cursor":' + cursor + b"}\n"
                    return
        finally:
            metrics.export(-1)
            running.share.release()

    def _cursor(self, running: _Running) -> str:
        place = running.place._replace(position=running.merge.position, items=running.items)
        return self._reading.cursors.make(CursorOf.EXPORT, place)


class _Running:
    """A running export. `items` is how many were sent, including those before its cursor."""

    __slots__ = ("authorization", "items", "merge", "place", "request_id", "share")

    def __init__(self, merge: Merge, place: Place, share: AnswerShare, request: Request) -> None:
        self.merge = merge
        self.place = place
        self.share = share
        self.request_id = request.request_id
        self.authorization = request.headers.get(b"authorization")
        self.items = place.items
