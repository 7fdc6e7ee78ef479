"""The door of an api process: which requests come in at once, which wait for their turn, and which are sent away.

A request that is sent away costs a look at its head and one write: no task, no token, no body, no line in the log.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import orjson

from api.http.endpoint import LARGE_BODY
from api.http.problems import MEDIA_TYPE, Kind
from api.http.request_ids import REQUEST_ID
from api.http.routes import route_of
from api.lifecycle import Lifecycle
from api.overload.fair_queue import Call, Turns
from api.overload.heads import Heads
from api.overload.shard_limits import Admission
from protocol.settings import HttpSettings

STARTS_PER_TURN = 16
"""Requests that one turn of the event loop starts: some milliseconds' work where they are small."""

RETRY_AFTER_S = 1
GUARDED = "/api/"
"""Paths below this are counted and may be refused. Health and metrics are what one needs most under overload."""

_DETAIL = "requests wait here as long as is allowed; nothing was applied"


class Refusal:
    """The bytes of a 503."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)
        kind = Kind.OVERLOADED
        self._body = (
            f'{{"type":"{kind.urn}","title":"{kind.title}","status":{kind.status},"detail":"{_DETAIL}","request_id":"'
        )
        self._length = len(self._body) + len('"}')
        self._head = (
            f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: {MEDIA_TYPE}\r\nretry-after: {RETRY_AFTER_S}\r\n"
            "cache-control: no-store\r\nx-content-type-options: nosniff\r\nx-frame-options: DENY\r\n"
            "referrer-policy: no-referrer\r\n"
        )

    def render(self, given_id: bytes | None = None, *, close: bool = False) -> bytes:
        """A whole answer, under the request id that was given, if that is fit for it."""
        if given_id is not None and REQUEST_ID.fullmatch(given_id):
            name = given_id.decode("ascii")
        else:
            name = f"{self._prefix}-r{next(self._numbers):x}"
        shown = orjson.dumps(name)[1:-1].decode() if given_id is not None else name
        end = "connection: close\r\n" if close else ""
        return (
            f"{self._head}content-length: {self._length + len(shown)}\r\nx-request-id: {name}\r\n{end}\r\n"
            f'{self._body}{shown}"}}'
        ).encode()


class Door:
    """Decides about the requests of one process. `idle` holds the connections that wait for a request, oldest first."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        admission: Admission,
        user_of: Callable[[bytes], str | None],
        http: HttpSettings,
        max_wait_s: float,
        large: Turns,
    ) -> None:
        self.lifecycle = lifecycle
        self.http = http
        self.max_connections = http.max_connections
        self.turns = Turns(per_turn=STARTS_PER_TURN, max_wait_s=max_wait_s, ready=admission.has_room)
        self.large = large
        self.refusal = Refusal()
        self.idle: dict[Any, None] = {}
        self._admission = admission
        self._user_of = user_of
        self._refused: Counter[str] = Counter()
        self._heads = Heads()

    def open(self, now: float) -> bool:
        """Whether a request may start at once, whoever sends it; `now` is the loop's time."""
        return self.turns.free(now) and self._admission.calm()

    def admit(self, path: str, headers: Iterable[tuple[bytes, bytes]], start: Call, refuse: Call) -> bool:
        """Start a request when it is its user's turn, where the door is not open; False: it is to be refused now.

        `refuse` is called if the turn never comes.
        """
        if not path.startswith(GUARDED):
            start()
            return True
        token = next((value for name, value in headers if name == b"authorization"), None)
        return self.turns.enter(self._user(token), start, refuse)

    def refusing(self, now: float) -> bool:
        """Whether it is worth while to look whether what comes has to be refused; `now` is the loop's time."""
        return self.turns.refusing(now) or self.large.refusing(now)

    def turned_away(self, data: bytes, now: float) -> tuple[bytes, int] | None:
        """The refusal of the request with which `data` begins, and how much of its body is not there yet.

        None: it is not to be refused now, or something else is behind it. Several times faster than to take the
        request and then refuse it, which is what makes overload bearable.
        """
        head = self._heads.of(data)
        if head is None:
            return None
        missing = head.size + head.body - len(data)
        if missing < 0:
            return None
        user = self._user(head.token)
        # A large one waits in both queues.
        if not self.turns.full(user, now) and (head.body <= LARGE_BODY or not self.large.full(user, now)):
            return None
        self._refused[head.route] += 1
        return self.refusal.render(head.given_id), missing

    def _user(self, token: bytes | None) -> str | None:
        return self._user_of(token) if token is not None else None

    def count_refused(self, path: str) -> None:
        """Count a request that was refused."""
        self._refused[route_of(path)] += 1

    def refused(self) -> Counter[str]:
        """How many requests were refused since the last call, by route."""
        refused, self._refused = self._refused, Counter()
        return refused
