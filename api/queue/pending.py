"""Chunks that wait for their outcome, by chunk id, and the requests that wait for them.

A worker reports the outcome of one copy of a chunk. Whether it is final also depends on how often this process has sent
the chunk; `Pending.believed` decides that.

Before the deadline only final outcomes are reported. A change whose outcome is unknown may still be applied until then
by a worker that has another copy, and may be reported as applied. So its request waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from protocol.frames import Chunk, Outcome
from protocol.operations import CHANGES, ON_RECORD, Status
from protocol.stamps import STAMPS

if TYPE_CHECKING:
    from api.queue.outgoing import Outgoing

_log = logging.getLogger(__name__)

SMALL_ANSWER = 4096
"""Answers of fewer bytes are not counted: there are never more of them than chunks that wait."""

NOT_WORKED = frozenset((Status.EXPIRED, Status.UNREACHABLE, Status.UNKNOWN))
"""Outcomes that say nothing about the speed of a shard."""

_OK = Status.OK
_NO_ROOM = "answers that wait to be sent take as much memory as is allowed"


class Admission(Protocol):
    """Counts the chunks that wait for outcomes."""

    def release(self, shard: str, size: int, user: str | None = None, *, worked: bool = True) -> None:
        """Stop counting a chunk. `worked`: its shard has worked on it."""


class Observer(Protocol):
    """Counts what happens to chunks."""

    def outcomes(self, shard: str, status: int, chunks: int) -> None:
        """Count the outcomes of chunks."""

    def resent(self, chunks: int) -> None:
        """Count chunks that were sent again."""

    def took(self, shard: str, seconds: float) -> None:
        """Count how long a chunk took until its outcome, measured in this process."""

    def stage(self, stage: str, seconds: float) -> None:
        """Count how long a stage of a request took."""


class Caller:
    """The request for which chunks are sent: its user, its trace, and `take`.

    `take` is called with the size of each large answer when it arrives. If it returns False, the answer is dropped.
    """

    __slots__ = ("take", "trace", "user")

    def __init__(
        self, user: str | None = None, trace: str | None = None, take: Callable[[int], bool] | None = None
    ) -> None:
        self.user = user
        self.trace = trace
        self.take = take


NOBODY = Caller()

Done: TypeAlias = Callable[[Sequence[Outcome]], None]
"""Takes the outcomes of a request's chunks, in their order."""


def resolving(future: asyncio.Future[Sequence[Outcome]]) -> Done:
    """Make a callback that gives the outcomes to `future`."""

    def resolve(outcomes: Sequence[Outcome]) -> None:
        if not future.done():
            future.set_result(outcomes)

    return resolve


class Gathering:
    """The outcomes of one request's chunks; `done` is called with them when all have arrived. It is a plain function: a
    task and a future for each request would be a quarter of the api's work for a small one.

    `ends` is their deadline on the monotonic clock; no step of a clock changes how long a request waits. `began` is
    when they were dispatched.
    """

    __slots__ = ("_done", "_missing", "began", "caller", "ends", "outcomes")

    def __init__(
        self,
        chunks: int,
        done: Done,
        caller: Caller = NOBODY,
        ends: float = float("inf"),
    ) -> None:
        self.caller = caller
        self.ends = ends
        self.began = time.monotonic()
        self._done = done
        self.outcomes: list[Outcome | None] = [None] * chunks
        self._missing = chunks

    def put(self, position: int, outcome: Outcome) -> bool:
        """Take the outcome of the chunk at `position`; a large answer only if `take` allows it.

        True: it was the last one, and `finish` is to be called.
        """
        _, status, payload = outcome
        take = self.caller.take
        # If the payload is not bytes, some were lost on the way. The request of this chunk must report that: an
        # exception here would lose the outcomes of other requests.
        size = len(payload) if take is not None and status == _OK and isinstance(payload, bytes) else 0
        if size > SMALL_ANSWER and take is not None and not take(size):
            outcome = Outcome(outcome.id, Status.NO_MEMORY, _NO_ROOM)
        self.outcomes[position] = outcome
        self._missing -= 1
        return not self._missing

    def finish(self) -> None:
        """Report the outcomes. An exception must not reach the caller, which also has outcomes of other requests."""
        try:
            self._done(cast("list[Outcome]", self.outcomes))
        except Exception as error:  # noqa: BLE001 - see above
            _log.error("outcomes could not be processed", exc_info=error)


class SentFrame:
    """A frame in a shard's stream: how many of its chunks still wait, and whether it was given up.

    `entry_id` is None until Redis has named it. `outgoing` is that of the lane to which it was sent.
    """

    __slots__ = ("entry_id", "given_up", "outgoing", "shard", "waiting")

    def __init__(self, shard: str, waiting: int, outgoing: Outgoing) -> None:
        self.entry_id: bytes | None = None
        self.given_up = False
        self.outgoing = outgoing
        self.shard = shard
        self.waiting = waiting

    def abandon(self) -> None:
        """Delete the frame from its stream: no request waits for its chunks, or another frame carries them."""
        self.outgoing.abandon(self)


class Pending:
    """A chunk that waits for its outcome. `sends` counts how often it was sent to Redis, or may have been.

    `outgoing` is that of the lane that carries it.
    """

    __slots__ = ("chunk", "doubt", "frame", "gathering", "outgoing", "position", "sends", "shard")

    def __init__(self, shard: str, chunk: Chunk, gathering: Gathering, position: int) -> None:
        self.shard = shard
        self.chunk = chunk
        self.gathering = gathering
        self.position = position
        self.sends = 0
        self.doubt: Outcome | None = None
        """An unknown outcome, with the reason; reported when the deadline has passed."""
        self.frame: SentFrame | None = None
        self.outgoing: Outgoing | None = None

    def may_change_later(self, now: float) -> bool:
        """Whether another copy may still change something. A read changes nothing."""
        return self.chunk.operation in CHANGES and now < self.gathering.ends

    def believed(self, outcome: Outcome) -> Outcome:
        """The outcome of the chunk, as far as the outcome of one copy shows it.

        `OK` and `WRONG_BUCKET` are on record at the shard. With any other outcome of a change that was sent more than
        once, another copy may still be applied or may have been applied, and the worker that reports this one cannot
        know it.
        """
        twice = self.sends > 1 or self.doubt is not None
        if twice and outcome.status not in ON_RECORD and self.chunk.operation in CHANGES:
            return outcome._replace(status=Status.UNKNOWN)
        return outcome


def _ignored(_: Any) -> None:
    """Traces are off."""


class PendingChunks:
    """All chunks of this process that wait for outcomes. `admission` counts each until it has its outcome."""

    def __init__(self, admission: Admission, observer: Observer) -> None:
        self._admission = admission
        self._observer = observer
        self._by_id: dict[bytes, Pending] = {}
        self.stamped: Callable[[Any], None] = _ignored
        """Called with the times that workers report of traced requests (`protocol.stamps`)."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._by_id.values()))

    def __contains__(self, pending: Pending) -> bool:
        return self._by_id.get(pending.chunk.id) is pending

    def add(self, pending: Pending) -> None:
        """Begin to wait for a chunk; no other chunk that waits may have its id."""
        if pending.chunk.id in self._by_id:
            raise ValueError(f"chunk {pending.chunk.id.hex()} waits already")
        self._by_id[pending.chunk.id] = pending

    def settle(self, outcomes: Iterable[Outcome], *, final: bool = False) -> Iterable[str]:
        """Give outcomes to the requests that wait for them; a second outcome for the same chunk is dropped.

        An unknown outcome of a change is kept until the deadline, unless it is `final`. Returns the shards of the
        chunks, some of them more than once.
        """
        counts: dict[tuple[str, int], int] = {}
        complete: list[Gathering] = []
        now, took = time.monotonic(), self._observer.took
        for outcome in outcomes:
            pending = self._by_id.pop(outcome.id, None)
            if pending is None:
                if outcome.id == STAMPS:
                    self.stamped(outcome.payload)
                continue
            believed = pending.believed(outcome)
            if believed.status == Status.UNKNOWN and not final and pending.may_change_later(now):
                pending.doubt = pending.doubt or believed
                self._by_id[outcome.id] = pending
                continue
            if pending.frame is not None:
                pending.frame.waiting -= 1
            shard, status = pending.shard, believed.status
            size, user = len(pending.chunk.body), pending.gathering.caller.user
            self._admission.release(shard, size, user, worked=status not in NOT_WORKED)
            if pending.gathering.put(pending.position, believed):
                complete.append(pending.gathering)
            took(shard, now - pending.gathering.began)
            counts[shard, status] = counts.get((shard, status), 0) + 1
        for (shard, status), count in counts.items():
            self._observer.outcomes(shard, status, count)
        for gathering in complete:
            gathering.finish()
        return (shard for shard, _ in counts)

    def give_up(self, pending: Pending, reason: str) -> None:
        """Stop waiting for a chunk. Its outcome is unknown if it may have been sent; otherwise it is never sent."""
        if pending in self:
            self.settle((pending.doubt or _without_answer(pending, reason),), final=True)

    def not_taken(self, pending: Pending, reason: str) -> None:
        """Note that Redis rejected the last copy of a chunk; an earlier copy may still be applied."""
        if pending in self:
            self.settle((_without_answer(pending, reason),))

    def oldest_s(self, shards: Iterable[str]) -> dict[str, float]:
        """How long the oldest chunk of each shard has waited, in seconds; 0 if none waits."""
        now = time.monotonic()
        oldest = dict.fromkeys(shards, now)
        for pending in self._by_id.values():
            if pending.shard in oldest:
                oldest[pending.shard] = min(oldest[pending.shard], pending.gathering.began)
        return {shard: now - began for shard, began in oldest.items()}

    def overdue(self, now: float, grace_s: float) -> list[Pending]:
        """The chunks whose deadline is before `now`, on the monotonic clock.

        Chunks of which no worker has reported anything are kept `grace_s` longer.
        """
        return [
            pending
            for pending in self._by_id.values()
            if pending.gathering.ends + (0.0 if pending.doubt else grace_s) < now
        ]


def _without_answer(pending: Pending, reason: str) -> Outcome:
    return Outcome(pending.chunk.id, Status.UNKNOWN if pending.sends else Status.UNREACHABLE, reason)
