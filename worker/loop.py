"""The loop of one shard and lane: reads frames, calls the shard and reports, until it is told to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis

from protocol.announced import Address
from protocol.backoff import Backoff
from protocol.settings import WorkerSettings
from worker.answer_room import LARGE_BYTES
from worker.calls import Caller, grouped
from worker.frames import Turn
from worker.group import Group
from worker.presence import Presence
from worker.shard import Shard
from worker.standby import Standby
from worker.stream import NOTHING, Delivery, ShardStream
from worker.takeover import TakeOver

_log = logging.getLogger(__name__)

MAX_HELD_BYTES = 8 * 1024 * 1024
"""When a worker holds this many payload bytes, it reports what it has, even before the turn is finished."""

FIRST_WAIT_S, LAST_WAIT_S = 0.02, 0.5
"""Waits between attempts to reach Redis."""

FORGOTTEN_AFTER_S = 0.5
"""How long a loop that ends tries to reach a Redis that is out of reach."""

FAILURE_LINE_EVERY_S = 5.0
"""The least time between log lines about a failing Redis."""

_TIDY_EVERY_S = 0.5
_FORGET_EVERY_S = 30.0


class ShardLoop(threading.Thread):
    """The thread that reads one shard's stream on one lane. A silent Redis delays only its own loops."""

    def __init__(
        self,
        shard: Shard,
        group: Group,
        stream: ShardStream,
        takeover: TakeOver,
        presence: Presence,
        standby: Standby,
        settings: WorkerSettings,
        refused: Callable[[Any], None] = lambda _: None,
    ) -> None:
        super().__init__(name=f"shard-{shard.name}" + (f" at {group.lane}" if group.lane else ""), daemon=True)
        self.failure: BaseException | None = None
        self.last_turn = self.last_frame = time.monotonic()
        self._where = {"shard": shard.name, **({"lane": group.lane} if group.lane else {})}
        self._shard = shard
        self._group = group
        self._stream = stream
        self._takeover = takeover
        self._presence = presence
        self._standby = standby
        self._settings = settings
        self._caller = Caller(shard, settings, renew=self._renew, beat=self._beat, refused=refused)
        self._stopping = threading.Event()
        self._turn: Turn | None = None
        self._next_tidy = self._next_forget = self._next_failure_line = 0.0

    def stop(self) -> None:
        """Ask the loop to finish its frames and end."""
        self._stopping.set()

    def update(self, instances: Sequence[Address], position: int) -> None:
        """Set the addresses of the shard's instances, and its position among all shards; called by other threads."""
        self._shard.readdress(instances)
        self._standby.position = position

    def run(self) -> None:
        """Work until asked to stop. Any other error is kept in `failure` for the owner."""
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - the owner reads it and ends the process
            self.failure = error

    def _run(self) -> None:
        backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
        has_group = False
        while not self._stopping.is_set():
            self._beat()
            try:
                if not has_group:
                    self._group.ensure()
                    has_group = True
                self._work_turn()
                backoff.reset()
            except redis.RedisError as error:
                has_group = False
                self._redis_failed(error)
                self._stopping.wait(backoff.next_s())
        self._leave()

    def _beat(self) -> None:
        self.last_turn = time.monotonic()

    def _redis_failed(self, error: redis.RedisError) -> None:
        """Continue with another connection, even after an error that this one has survived.

        A leader that has become a replica would refuse every command for ever, and a connection that has lost bytes may
        still deliver replies that belong to no command.
        """
        now = time.monotonic()
        if now >= self._next_failure_line:
            # A lane may be out of reach for days.
            self._next_failure_line = now + FAILURE_LINE_EVERY_S
            _log.warning("redis failed", extra={**self._where, "error": str(error)})
        self._group.disconnect()
        if self._turn is not None and self._turn.put_back(LARGE_BYTES):
            self._shard.free_room()

    def _leave(self) -> None:
        """Report the outcomes in hand, with repetitions for some time, and remove this consumer from the group.

        If nothing is in hand, a short time is enough: Redis removes announcements of ended workers itself.
        """
        backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
        began = time.monotonic()
        give_up = began + self._settings.worker_drain_timeout_s / 2
        while True:
            try:
                self._report()
                self._presence.leave()
                break
            except redis.RedisError as error:
                if self._turn is None and time.monotonic() > began + FORGOTTEN_AFTER_S:
                    break
                if time.monotonic() > give_up:
                    _log.warning("a loop ended without reporting to redis", extra={**self._where, "error": str(error)})
                    break
                self._group.disconnect()
                time.sleep(backoff.next_s())
        self._shard.disconnect()

    def _work_turn(self) -> None:
        """Report the last turn, read new frames in the same round trip, and work on them.

        Outcomes stay true whatever happens to Redis meanwhile, so they are kept until a round trip has succeeded.
        """
        now = time.monotonic()
        tidy = now >= self._next_tidy
        if self._standby.reads():
            self._work(self._read(block=not tidy))
        else:
            self._poll()
        if tidy:
            self._next_tidy = now + _TIDY_EVERY_S
            self._tidy(now)

    def _read(self, *, block: bool) -> Delivery:
        report = self._turn.report() if self._turn is not None else NOTHING
        if report.sole:
            self._report()
            report = NOTHING
        delivery = self._stream.read(report, block=block)
        self._turn = None
        self._shard.free_room()
        return delivery

    def _poll(self) -> None:
        """Read and report at once, then wait: another worker reads this stream, if it is alive."""
        delivery = self._read(block=False)
        self._standby.polled(delivery.waited_ms(delivery.entries[0].id) if delivery.entries else None)
        self._work(delivery)
        self._report()
        if not self._standby.reads():
            self._stopping.wait(self._standby.pause_s())

    def _tidy(self, now: float) -> None:
        """Announce this worker, take over the frames of dead workers, and delete those workers from the group."""
        self._report()
        self._standby.announced(self._presence.announce())
        taken = self._takeover.take_over()
        if taken.entries:
            _log.info("took frames over", extra={**self._where, "frames": len(taken.entries)})
            self._work(taken)
        if now >= self._next_forget:
            self._next_forget = now + _FORGET_EVERY_S
            self._presence.forget_dead_consumers()

    def _work(self, delivery: Delivery) -> None:
        """Work on the frames of a delivery. Outcomes that are not reported when this returns are kept for the next
        report.
        """
        if not delivery.entries:
            return
        self.last_frame = time.monotonic()
        turn = self._turn = Turn(self._shard.name, delivery, self._shard.cluster)
        in_reach = True
        for call in grouped(turn.chunks, self._settings):
            # Finished outcomes are reported before the next call: a turn can have dozens of calls. If Redis has failed
            # once, no further call of the turn waits for it.
            in_reach = in_reach and self._report_early()
            for rest_takes_a_while in self._caller.run(call, turn):
                if rest_takes_a_while or turn.unreported_bytes > MAX_HELD_BYTES:
                    self._report_early()
                    turn.unreported_bytes = 0

    def _report_early(self) -> bool:
        """Report the final outcomes while others are unknown. False: Redis failed, and they are reported later."""
        try:
            self._report(early=True)
        except redis.RedisError as error:
            self._redis_failed(error)
            return False
        return True

    def _report(self, *, early: bool = False) -> None:
        """Report the outcomes of the frames in hand."""
        turn = self._turn
        if turn is None or (early and not turn.has_news):
            return
        report = turn.report()
        while shared := self._stream.report(report):
            turn.lose(shared)
            report = turn.report()
        turn.reported()
        self._shard.free_room()
        if not early:
            self._turn = None

    def _renew(self, turn: Turn) -> None:
        """Renew the frame claims of a turn, and drop frames that another worker has taken over.

        If Redis fails, all are dropped: a worker that reaches Redis may have taken them over. If not, they are
        redelivered.
        """
        renewed_at = time.monotonic()
        try:
            lost = self._takeover.renew(turn.entry_ids, turn.server)
        except redis.RedisError as error:
            self._redis_failed(error)
            lost = turn.entry_ids
        turn.claimed_at = renewed_at
        if lost:
            turn.lose(lost)
