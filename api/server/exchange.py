"""One request on its connection, from its head to the end of its answer."""

from __future__ import annotations

import time

from api.http.chunked import ChunkedBody
from api.http.endpoint import Route, body_too_large
from api.http.head import Head
from api.overload.errors import OverloadedError
from api.overload.memory_budgets import BodyBudget


class Exchange:
    """One request and its answer.

    `whole`: its body is complete. `fault`: why it is refused, whatever else arrives of its body. `answered`: its answer
    is written, perhaps before its body is complete. `gone`: the client does not wait for the answer any more.
    `rejected`: the gate did not admit it. `asked`: its endpoint was called.
    """

    def __init__(self, head: Head, route: Route, request_id: bytes, address: str, budget: BodyBudget) -> None:
        self.head = head
        self.route = route
        self.request_id = request_id
        self.address = address
        self.keep_alive = head.keep_alive
        self.began = time.perf_counter()
        self.arrived = 0.0
        self.answered = self.asked = self.gone = self.rejected = False
        self.user: str | None = None
        self.fault: Exception | None = None
        self.received = 0
        self._share = budget.share()
        self._chunks = ChunkedBody() if head.length is None else None
        self._missing = head.length or 0
        self._body: bytes | bytearray = b""
        """What has arrived of the body. A list of its pieces could take 21 times the memory that is counted."""
        self.whole = head.length == 0

    @property
    def interrupted(self) -> bool:
        """Whether more of the body could be decoded: the decoder stopped to give the event loop a turn."""
        return self._chunks is not None and self._chunks.interrupted

    def take(self, data: bytes, at: int) -> int:
        """Process the part of the body in `data` from `at` on; returns where that part ends.

        Raises:
            Problem: 400, the body is not valid.
        """
        if self._chunks is None:
            piece = data[at : at + self._missing]
            self._missing -= len(piece)
            self.whole = not self._missing
            self._keep(piece)
            return at + len(piece)
        pieces: list[bytes] = []
        at = self._chunks.feed(data, at, pieces)
        self.whole = self._chunks.complete
        if pieces:
            self._keep(b"".join(pieces))
        return at

    def _keep(self, piece: bytes) -> None:
        if self.answered or self.fault is not None:
            return
        self.received += len(piece)
        if self.received > self.route.body_limit:
            self.fault = body_too_large(self.route.body_limit)
            return
        try:
            self._share.add(len(piece))
        except OverloadedError as error:
            self.fault = error
            return
        if isinstance(self._body, bytearray):
            self._body += piece
        else:
            self._body = bytearray(self._body + piece) if self._body else piece

    def take_body(self) -> bytes:
        """The complete body. This object does not keep it any more; it counts as held until it is dropped."""
        body, self._body = self._body, b""
        return body if isinstance(body, bytes) else bytes(body)

    def drop_body(self) -> None:
        """Stop keeping and counting the body: the answer does not depend on it any more."""
        self._body = b""
        self._share.release()
