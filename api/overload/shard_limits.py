"""Limits the chunks and bytes that wait for outcomes, for each shard, in one api process.

An overload is noticed here, before anything is sent. A shard's limit is the number of chunks that it has lately
finished in `max_wait_s`, within fixed bounds: more chunks would only wait. A user may hold `SHARE` times the room that
is left.

A shard with no chunks of users accepts any batch. Otherwise a batch within the limits of requests, but larger than
these limits, would be rejected for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from api.overload.errors import overloaded
from api.overload.tuning import CATCH_UP, LEAST_CHUNKS, LEAST_READY, PAUSE, READY_S, SHARE, SMOOTHING


class _Shard:
    """The chunks of one shard that wait for outcomes, and their limits."""

    __slots__ = (
        "bytes",
        "catching_up",
        "chunks",
        "done",
        "held",
        "max_chunks",
        "name",
        "rate",
        "ready_chunks",
        "silent",
        "silent_s",
    )

    def __init__(self, name: str, max_chunks: int, ready_chunks: int) -> None:
        self.name = name
        self.max_chunks = max_chunks
        self.ready_chunks = ready_chunks
        self.chunks = self.bytes = 0
        """Those that wait."""

        self.done = 0
        """Chunks finished since the last measurement."""

        self.rate = 0.0
        """Chunks finished in a second."""

        self.catching_up = 0
        self.silent = 0
        self.silent_s = 0.0
        self.held: dict[str, list[int]] = {}
        """Chunks and bytes of every user who has any waiting."""

    def count(self, chunks: int, size: int, user: str | None) -> None:
        """Add chunks to those that wait, or subtract them if negative."""
        self.chunks += chunks
        self.bytes += size
        if user is None:
            return
        mine = self.held.get(user)
        if mine is None:
            self.held[user] = [chunks, size]
            return
        mine[0] += chunks
        mine[1] += size
        if not mine[0]:
            del self.held[user]


class Admission:
    """Counts the chunks and bytes that wait for outcomes, for each shard."""

    def __init__(self, shards: Sequence[str], *, max_chunks: int, max_bytes: int, max_wait_s: float) -> None:
        self._max_chunks = max_chunks
        self._max_bytes = max_bytes
        self._max_wait_s = max_wait_s
        self._shards: dict[str, _Shard] = {}
        self.use(shards, shards)

    def use(self, shards: Iterable[str], placed: Iterable[str]) -> None:
        """Set the shards. Those in `placed` own keys; the room of the others is not counted.

        A removed shard is forgotten when no chunk waits for it any more.
        """
        self._names = frozenset(shards)
        for shard in self._names:
            self._shard(shard)
        self._placed = tuple([self._shard(shard) for shard in placed])

    def held(self, shard: str) -> tuple[int, int]:
        """The chunks and bytes that wait for a shard."""
        state = self._shard(shard)
        return state.chunks, state.bytes

    def admit(self, parts: Iterable[tuple[str, int]], user: str | None = None) -> None:
        """Count `(shard, bytes)` of every part of a batch, or of none. A call without a user is not held to a user's
        share.

        Raises:
            OverloadedError: one shard has reached its limit, or this user's share of it.
        """
        batch: dict[str, tuple[int, int]] = {}
        for shard, size in parts:
            before = batch.get(shard)
            batch[shard] = (1, size) if before is None else (before[0] + 1, before[1] + size)
        for shard, (chunks, size) in batch.items():
            fault = self._fault(self._shard(shard), chunks, size, user)
            if fault is not None:
                raise overloaded(fault)
        for shard, (chunks, size) in batch.items():
            self._shards[shard].count(chunks, size, user)

    def release(self, shard: str, size: int, user: str | None = None, *, worked: bool = True) -> None:
        """Stop counting a part. `worked`: its shard has worked on it."""
        state = self._shards[shard]
        state.count(-1, -size, user)
        if worked:
            state.done += 1

    def calm(self) -> bool:
        """Whether some shard is so far below its limits that a chunk of any user would be admitted."""
        most = self._max_bytes
        for state in self._placed:
            is_calm = 2 * state.chunks < state.max_chunks
            if is_calm and 2 * state.bytes < most:
                return True
        return False

    def has_room(self, user: str | None) -> bool:
        """Whether some shard would soon work on a chunk of this user."""
        for state in self._placed:
            if state.chunks < state.ready_chunks and self._fault(state, 1, 1, user) is None:
                return True
        return False

    def adapt(self, elapsed_s: float) -> None:
        """Measure how much each shard has finished in the last `elapsed_s`, and set the limits by it.

        A shard that had work and answered nothing for `PAUSE` measurements is not overloaded but paused: Redis, the
        shard or the network is. The pause may end at any moment. Until then, and while the shard catches up, the limits
        are those of the settings. If overload were mistaken for a pause, work of many seconds would be admitted.
        """
        self._forget_gone()
        for state in self._shards.values():
            if state.chunks and not state.done:
                state.silent += 1
                state.silent_s += elapsed_s
                if state.silent >= PAUSE:
                    state.catching_up = CATCH_UP
                    state.max_chunks = state.ready_chunks = self._max_chunks
                continue
            worked_s = elapsed_s + (state.silent_s if state.silent < PAUSE else 0.0)
            state.silent, state.silent_s = 0, 0.0
            state.rate += SMOOTHING * (state.done / worked_s - state.rate)
            state.done = 0
            chunks = max(LEAST_CHUNKS, int(state.rate * self._max_wait_s))
            if state.catching_up and state.chunks > chunks // 2:
                state.catching_up -= 1
                continue
            state.catching_up = 0
            state.max_chunks = min(chunks, self._max_chunks)
            state.ready_chunks = min(max(LEAST_READY, int(state.rate * READY_S)), self._max_chunks)

    def _shard(self, name: str) -> _Shard:
        state = self._shards.get(name)
        if state is None:
            chunks = min(self._max_chunks, LEAST_CHUNKS)
            state = self._shards[name] = _Shard(name, chunks, min(self._max_chunks, LEAST_READY))
        return state

    def _forget_gone(self) -> None:
        for shard in self._shards.keys() - self._names:
            state = self._shards[shard]
            if not state.chunks and state not in self._placed:
                del self._shards[shard]

    def _fault(self, state: _Shard, chunks: int, size: int, user: str | None) -> str | None:
        """Why these chunks are not admitted; None if they are."""
        # The api's own calls have no user, and keep no batch out.
        if not (state.held if user is not None else state.chunks):
            return None
        max_chunks, max_bytes = state.max_chunks, self._max_bytes
        if state.chunks + chunks > max_chunks or state.bytes + size > max_bytes:
            return f"shard {state.name} has reached its limit of chunks and bytes"
        if user is None or (2 * state.chunks < max_chunks and 2 * state.bytes < max_bytes):
            return None
        mine = state.held.get(user)
        if mine is None:
            return None
        own_chunks, own_bytes = mine
        if own_chunks >= SHARE * (max_chunks - state.chunks) or own_bytes >= SHARE * (max_bytes - state.bytes):
            return f"this user has reached one user's share of shard {state.name}"
        return None
