"""Asks the shards which shards there are: regularly, and when a shard names one that this worker does not know.

The questions use connections of their own, each for one question: those of the loops belong to their threads.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from protocol.announced import Address, Shards, announced
from protocol.refusals import refused_buckets
from worker.errors import ShardUnreachableError, WrongInstanceError
from worker.shard import Shard

_log = logging.getLogger(__name__)

ASK_EVERY_S = 2.0
"""The wait between two rounds of questions, unless there is a reason to ask sooner."""

SELDOM_S = 10.0
"""The same while no shard announces anything, as in a cluster whose shards are fixed."""

LEAST_S = 0.2
"""The shortest wait between two rounds, whatever the reason."""

AT_ONCE = 8
"""Shards that are asked in a round; the next one asks others. Each of them knows all shards."""


class ShardWatch(threading.Thread):
    """Calls `ensure` with all shards, beginning with those of `shards`.

    An announced shard is added at once; a shard is removed when all shards were asked and none names it. If no shard
    announces anything, the shards do not change.
    """

    def __init__(
        self,
        shards: Shards,
        make: Callable[[str, Sequence[Address]], Shard],
        ensure: Callable[[Shards], None],
    ) -> None:
        super().__init__(name="shard-watch", daemon=True)
        self.failure: BaseException | None = None
        self.last_turn = time.monotonic()
        self._known = dict(shards)
        self._make = make
        self._ensure = ensure
        self._announced = True
        self._words: dict[str, Shards | None] = {}
        self._unasked = sorted(self._known)
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def refused(self, payload: Any) -> None:
        """Note a refusal: it may name a shard that is not known. Called by the threads of loops."""
        if any(isinstance(where, str) and where not in self._known for where in refused_buckets(payload).values()):
            self._wake.set()

    def stop(self) -> None:
        """Stop asking."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """Ask until told to stop. Any other error is kept in `failure` for the owner."""
        try:
            while not self._stopping.is_set():
                self._wake.wait(_about(ASK_EVERY_S if self._announced else SELDOM_S))
                self._wake.clear()
                self.round()
                self._stopping.wait(_about(LEAST_S))
        except BaseException as error:  # noqa: BLE001 - the owner reads it and ends the process
            self.failure = error

    def round(self) -> None:
        """Ask some shards, and pass on the changes."""
        for name in self._unasked[:AT_ONCE]:
            if self._stopping.is_set():
                return
            self.last_turn = time.monotonic()
            self._words[name] = self._ask(name)
        del self._unasked[:AT_ONCE]
        found = announced(self._words)
        if found is not None or not self._unasked:
            self._announced = found is not None
        if found is not None:
            known = found if not self._unasked else {**self._known, **found}
            if known != self._known:
                come, gone = sorted(known.keys() - self._known.keys()), sorted(self._known.keys() - known.keys())
                _log.info("the shards have changed", extra={"come": come, "gone": gone})
                self._known = known
                self._ensure(known)
        if not self._unasked:
            self._words = {}
            self._unasked = sorted(self._known)

    def _ask(self, name: str) -> Shards | None:
        """The shards that a shard announces; None if it announces none or does not answer."""
        shard = self._make(name, self._known[name])
        try:
            shard.connect()
        except (ShardUnreachableError, WrongInstanceError) as error:
            _log.debug("a shard did not announce the shards", extra={"shard": name, "error": str(error)})
            return None
        finally:
            shard.disconnect()
        return shard.said_shards


def _about(seconds: float) -> float:
    """Between half and one and a half times as long, so that workers that started together do not ask together."""
    return random.uniform(seconds / 2, seconds * 3 / 2)  # noqa: S311 - jitter is no secret
