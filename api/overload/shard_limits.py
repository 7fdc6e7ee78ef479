"""How much may be under way: chunks and bytes for each shard.

Overload is answered here, before anything is sent, with a 503 and `Retry-After`. All counts are of one api process.

A shard takes as much as it has lately worked off in `max_wait_s`, within fixed bounds: more would only wait. Of that a
user may hold so much that three times the room that is left is not exceeded (dynamic thresholds, after Choudhury and
Hahne, 1998): alone three quarters, and whoever comes with little always finds room.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from api.overload.errors import overloaded

LEAST_CHUNKS = 256
LEAST_BYTES = 16 * 1024 * 1024
"""A shard takes these, where the settings allow them, however slow it was lately: it may have had nothing to do."""

SHARE = 3
"""A user may hold this many times the room that is left."""

ROOM = 64
"""Chunks of requests that have come in and have not been split yet."""

READY_S = 0.1
LEAST_READY = 64
"""What waits for its turn gets it while a shard has work for less than `READY_S`, or less than so many chunks, in
either case less a quarter for what has come in already: that keeps it busy, and the rest can still be refused where it
waits."""

PAUSE = 3
"""Measurements in a row without any answer that make a pause. One alone says little: answers come in bursts."""

CATCH_UP = 20
"""Measurements for which a shard that has paused may still have more than its rate allows."""

_SMOOTHING = 0.2
"""Weight of the newest rate in the mean, which follows a change in about five measurements."""


class _Shard:
    """What is under way for one shard, and how much may be."""

    __slots__ = (
        "byte_rate",
        "catching_up",
        "chunk_rate",
        "done_bytes",
        "done_chunks",
        "held",
        "max_bytes",
        "max_chunks",
        "ready_chunks",
        "silent",
        "silent_s",
    )

    def __init__(self, max_chunks: int, max_bytes: int) -> None:
        self.max_chunks = min(max_chunks, LEAST_CHUNKS)
        self.max_bytes = min(max_bytes, LEAST_BYTES)
        self.ready_chunks = min(max_chunks, LEAST_READY)
        self.done_chunks = self.done_bytes = 0
        self.chunk_rate = self.byte_rate = 0.0
        self.catching_up = 0
        self.silent = 0
        self.silent_s = 0.0
        self.held: dict[str, list[int]] = {}
        """Chunks and bytes of every user who has any."""


class Admission:
    """Counts what is under way for each shard."""

    def __init__(
        self, shards: Sequence[str], *, max_chunks: int, max_bytes: int, max_wait_s: float | None = None
    ) -> None:
        self._max_chunks = max_chunks
        self._max_bytes = max_bytes
        self._max_wait_s = max_wait_s
        self._shards = {shard: _Shard(max_chunks, max_bytes) for shard in shards}
        self.chunks = dict.fromkeys(shards, 0)
        self.bytes = dict.fromkeys(shards, 0)
        if max_wait_s is None:
            for state in self._shards.values():
                state.max_chunks, state.max_bytes = max_chunks, max_bytes
                state.ready_chunks = max_chunks

    def admit(self, parts: Iterable[tuple[str, int]], user: str | None = None) -> None:
        """Count `(shard, bytes)` of every part in, or none of them. Without a user there is no share to keep to.

        Raises:
            Problem: 503, one shard has too much under way, or too much of this user's.
        """
        admitted: list[tuple[str, int]] = []
        for shard, size in parts:
            fault = self._fault(shard, size, user)
            if fault is not None:
                for done in admitted:
                    self._count(*done, user, -1)
                raise overloaded(fault)
            self._count(shard, size, user, 1)
            admitted.append((shard, size))

    def release(self, shard: str, size: int, user: str | None = None, *, worked: bool = True) -> None:
        """Count a part out again; `worked`: its shard had it."""
        self._count(shard, size, user, -1)
        if worked:
            state = self._shards[shard]
            state.done_chunks += 1
            state.done_bytes += size

    def calm(self) -> bool:
        """Whether some shard has so little under way that any user's chunk would be admitted."""
        for shard, state in self._shards.items():
            if 2 * self.chunks[shard] < state.max_chunks and 2 * self.bytes[shard] < state.max_bytes:
                return True
        return False

    def has_room(self, user: str | None) -> bool:
        """Whether some shard would take chunks of this user's, also if others that have come in come first."""
        for shard, state in self._shards.items():
            margin = min(ROOM, state.ready_chunks // 4)
            if self.chunks[shard] + margin < state.ready_chunks and self._fault(shard, 1, user, margin) is None:
                return True
        return False

    def adapt(self, elapsed_s: float) -> None:
        """Take what was worked off in the last `elapsed_s` as the measure of what may be under way.

        Where nothing was, although there was something to do, that is no overload but a pause: of Redis, a shard, the
        network. It may end any moment, and until then, and while the shard catches up, as much waits as the settings
        allow. A pause that is none would let in, under overload, many seconds' work.
        """
        if self._max_wait_s is None:
            return
        for shard, state in self._shards.items():
            if self.chunks[shard] and not state.done_chunks:
                state.silent += 1
                state.silent_s += elapsed_s
                if state.silent >= PAUSE:
                    state.catching_up = CATCH_UP
                    state.max_chunks, state.max_bytes = self._max_chunks, self._max_bytes
                    state.ready_chunks = self._max_chunks
                continue
            worked_s = elapsed_s + (state.silent_s if state.silent < PAUSE else 0.0)
            state.silent, state.silent_s = 0, 0.0
            state.chunk_rate += _SMOOTHING * (state.done_chunks / worked_s - state.chunk_rate)
            state.byte_rate += _SMOOTHING * (state.done_bytes / worked_s - state.byte_rate)
            state.done_chunks = state.done_bytes = 0
            chunks = max(LEAST_CHUNKS, int(state.chunk_rate * self._max_wait_s))
            size = max(LEAST_BYTES, int(state.byte_rate * self._max_wait_s))
            if state.catching_up and (self.chunks[shard] > chunks // 2 or self.bytes[shard] > size // 2):
                state.catching_up -= 1
                continue
            state.catching_up = 0
            state.max_chunks, state.max_bytes = min(chunks, self._max_chunks), min(size, self._max_bytes)
            state.ready_chunks = min(max(LEAST_READY, int(state.chunk_rate * READY_S)), self._max_chunks)

    def _count(self, shard: str, size: int, user: str | None, sign: int) -> None:
        self.chunks[shard] += sign
        self.bytes[shard] += sign * size
        if user is None:
            return
        held = self._shards[shard].held
        mine = held.get(user)
        if mine is None:
            mine = held[user] = [0, 0]
        mine[0] += sign
        mine[1] += sign * size
        if not mine[0]:
            del held[user]

    def _fault(self, shard: str, size: int, user: str | None, margin: int = 0) -> str | None:
        """Why a chunk is not admitted, with `margin` more chunks under way than there are; None if it is."""
        state = self._shards[shard]
        chunks, held_bytes = self.chunks[shard] + margin, self.bytes[shard]
        # A shard with nothing under way takes any chunk: one may be larger than a small limit allows.
        if chunks >= state.max_chunks or (chunks > 0 and held_bytes + size > state.max_bytes):
            return f"shard {shard} has as much under way as is allowed"
        if user is None or (2 * chunks < state.max_chunks and 2 * held_bytes < state.max_bytes):
            return None
        mine = state.held.get(user)
        if mine is None:
            return None
        own_chunks, own_bytes = mine
        if own_chunks >= SHARE * (state.max_chunks - chunks) or own_bytes >= SHARE * (state.max_bytes - held_bytes):
            return f"shard {shard} has as much of this user's under way as is fair"
        return None
