"""Chunks that wait for their outcome, by chunk id, and the requests that wait for them.

A worker reports what became of one copy of a chunk. Whether that is final also depends on how often this process has
sent the chunk, which is judged here (`Pending.believed`).

Only what is final is told before the deadline. A change whose outcome is unknown may still be applied until then, by
whoever has another copy, and may be reported as applied: its request waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from protocol.frames import Chunk, Outcome
from protocol.operations import CHANGES, ON_RECORD, Status
from protocol.stamps import STAMPS

if TYPE_CHECKING:
    from api.queue.outgoing import Outgoing

_log = logging.getLogger(__name__)

SMALL_ANSWER = 4096
"""Bytes of a chunk's answer that are not worth counting: there are never more of these than chunks under way."""

NOT_WORKED = frozenset((Status.EXPIRED, Status.UNREACHABLE, Status.UNKNOWN))
"""Outcomes of chunks that tell nothing of how fast their shard works."""

_OK = Status.OK
_NO_ROOM = "answers that wait to be sent take as much memory as is allowed"


class Admission(Protocol):
    """Counts what is under way."""

    def release(self, shard: str, size: int, user: str | None = None, *, worked: bool = True) -> None:
        """Count a chunk out; `worked`: its shard had it."""


class Observer(Protocol):
    """Counts what happens to chunks."""

    def outcomes(self, shard: str, status: int, chunks: int) -> None:
        """Count what became of chunks."""

    def resent(self, chunks: int) -> None:
        """Count chunks that were sent again."""

    def took(self, shard: str, seconds: float) -> None:
        """Count how long a chunk took, from here to its outcome."""

    def stage(self, stage: str, seconds: float) -> None:
        """Count how long a stage of a request took."""


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom chunks are sent: whose they count as, the trace they belong to, and who has room for large answers.

    `take` is asked with the size of each large answer when it arrives. Where it returns False the answer is dropped.
    """

    user: str | None = None
    trace: str | None = None
    take: Callable[[int], bool] | None = None


NOBODY = Caller()

Done: TypeAlias = Callable[[Sequence[Outcome]], None]
"""Takes the outcomes of a request's chunks, in their order."""


def resolving(future: asyncio.Future[Sequence[Outcome]]) -> Done:
    """What hands outcomes to whoever awaits `future`."""

    def resolve(outcomes: Sequence[Outcome]) -> None:
        if not future.done():
            future.set_result(outcomes)

    return resolve


class Gathering:
    """The outcomes of one request's chunks; `done` is called with them once all are there. It is a plain function: a
    task and a future for each request would be a quarter of what a small one costs the api.

    `ends` is when their deadline is on the monotonic clock: no step of the system's makes a request wait for longer.
    `began` is when they were handed over.
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
        """Take the outcome of the chunk at `position`; a large answer only if its caller has room.

        True: it was the last one, and `finish` is to be called.
        """
        _, status, payload = outcome
        take = self.caller.take
        # One that is no answer at all, since bytes were lost on the way, is for its request to refuse: whoever settles
        # has the outcomes of others, too.
        size = len(payload) if take is not None and status == _OK and isinstance(payload, bytes) else 0
        if size > SMALL_ANSWER and take is not None and not take(size):
            outcome = Outcome(outcome.id, Status.NO_MEMORY, _NO_ROOM)
        self.outcomes[position] = outcome
        self._missing -= 1
        return not self._missing

    def finish(self) -> None:
        """Tell the outcomes. Whatever comes of that must not stop the caller, who has those of other requests too."""
        try:
            self._done(cast("list[Outcome]", self.outcomes))
        except Exception as error:  # noqa: BLE001 - see above
            _log.error("outcomes could not be processed", exc_info=error)


class SentFrame:
    """A frame in a shard's stream: how many of its chunks still wait, and whether they were given up.

    `entry_id` is None until Redis has named it. `outgoing` is that of the lane that it went to.
    """

    __slots__ = ("entry_id", "given_up", "outgoing", "shard", "waiting")

    def __init__(self, shard: str, waiting: int, outgoing: Outgoing) -> None:
        self.entry_id: bytes | None = None
        self.given_up = False
        self.outgoing = outgoing
        self.shard = shard
        self.waiting = waiting

    def abandon(self) -> None:
        """Have the frame deleted where it is: nobody waits for its chunks, or they went out in another frame."""
        self.outgoing.abandon(self)


class Pending:
    """A chunk under way. `sends` counts how often it was handed to Redis, or may have been.

    `outgoing` is that of the lane that is to carry it, or does.
    """

    __slots__ = ("chunk", "doubt", "frame", "gathering", "outgoing", "position", "sends", "shard")

    def __init__(self, shard: str, chunk: Chunk, gathering: Gathering, position: int) -> None:
        self.shard = shard
        self.chunk = chunk
        self.gathering = gathering
        self.position = position
        self.sends = 0
        self.doubt: Outcome | None = None
        """That the outcome is unknown, with the reason; told when the deadline has come."""
        self.frame: SentFrame | None = None
        self.outgoing: Outgoing | None = None

    def may_change_later(self, now: float) -> bool:
        """Whether another copy may still change something; a read changes nothing."""
        return self.chunk.operation in CHANGES and now < self.gathering.ends

    def believed(self, outcome: Outcome) -> Outcome:
        """What the outcome of one copy says about the chunk.

        `OK` and `WRONG_BUCKET` are on record at the shard. With any other outcome of a change that was sent more than
        once another copy may still be applied, or was, whatever the worker of this one knows.
        """
        twice = self.sends > 1 or self.doubt is not None
        if twice and outcome.status not in ON_RECORD and self.chunk.operation in CHANGES:
            return outcome._replace(status=Status.UNKNOWN)
        return outcome


def _ignored(_: Any) -> None:
    """Traces are off."""


class PendingChunks:
    """All chunks under way in this process. Each is counted out of `admission` when it has its outcome."""

    def __init__(self, admission: Admission, observer: Observer) -> None:
        self._admission = admission
        self._observer = observer
        self._by_id: dict[bytes, Pending] = {}
        self.stamped: Callable[[Any], None] = _ignored
        """Called with what workers tell of traced requests (`protocol.stamps`)."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._by_id.values()))

    def __contains__(self, pending: Pending) -> bool:
        return self._by_id.get(pending.chunk.id) is pending

    def add(self, pending: Pending) -> None:
        """Begin to wait for a chunk; its id must not be waited for already."""
        if pending.chunk.id in self._by_id:
            raise ValueError(f"chunk {pending.chunk.id.hex()} is under way already")
        self._by_id[pending.chunk.id] = pending

    def settle(self, outcomes: Iterable[Outcome], *, final: bool = False) -> Iterable[str]:
        """Hand outcomes to the requests that wait for them; a second one for the same chunk finds nobody.

        An unknown outcome of a change is kept until the deadline, unless it is `final`. Returns the shards whose chunks
        they were, some of them more than once.
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
        """Stop waiting for a chunk. Its outcome is unknown if it may have been sent; otherwise nobody will send it."""
        if pending in self:
            self.settle((pending.doubt or _without_answer(pending, reason),), final=True)

    def not_taken(self, pending: Pending, reason: str) -> None:
        """Take note that Redis did not take the last copy of a chunk; an earlier one may still be applied."""
        if pending in self:
            self.settle((_without_answer(pending, reason),))

    def oldest_s(self, shards: Iterable[str]) -> dict[str, float]:
        """For how long the oldest chunk of each shard has waited, in seconds; 0 where none does."""
        now = time.monotonic()
        oldest = dict.fromkeys(shards, now)
        for pending in self._by_id.values():
            if pending.shard in oldest:
                oldest[pending.shard] = min(oldest[pending.shard], pending.gathering.began)
        return {shard: now - began for shard, began in oldest.items()}

    def overdue(self, now: float, grace_s: float) -> list[Pending]:
        """The chunks whose deadline is before `now`, on the monotonic clock.

        Those that nobody has said anything of are waited for `grace_s` longer.
        """
        return [
            pending
            for pending in self._by_id.values()
            if pending.gathering.ends + (0.0 if pending.doubt else grace_s) < now
        ]


def _without_answer(pending: Pending, reason: str) -> Outcome:
    return Outcome(pending.chunk.id, Status.UNKNOWN if pending.sends else Status.UNREACHABLE, reason)
