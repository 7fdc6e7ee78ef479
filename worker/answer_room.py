"""Bounds the memory of the large answers that the loops of one worker hold at a time.

An answer is held from its arrival until its report, and is copied some times on the way. Without this bound, one read
of large values on all shards would need more memory than a worker's container has, and would end one worker after the
other.
"""

from __future__ import annotations

import threading

LARGE_BYTES = 1024 * 1024
"""Smaller answers are not counted."""

ROOM_BYTES = 64 * 1024 * 1024
"""The answers that are held at a time. A larger one is held alone."""

WAIT_S = 3.0
"""How long an answer waits for room, in the shard's output buffer."""


class NoRoomError(OSError):
    """Other loops have held the memory for too long."""


class AnswerRoom:
    """The room of one worker, shared by its loops. An owner is the shard of a loop."""

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room = room_bytes
        self._held: dict[object, int] = {}
        self._freed = threading.Condition()

    def take(self, owner: object, size: int) -> None:
        """Wait for room for an answer.

        Raises:
            NoRoomError: others hold the room for too long.
        """
        if size < LARGE_BYTES:
            return
        with self._freed:
            if not self._freed.wait_for(lambda: self._fits(owner, size), WAIT_S):
                raise NoRoomError("no room for a large answer")
            self._held[owner] = self._held.get(owner, 0) + size

    def free(self, owner: object) -> None:
        """Free what an owner holds: its answers are reported, or dropped."""
        # Checked without the lock: only the owner's own thread adds to what it holds.
        if owner in self._held:
            with self._freed:
                del self._held[owner]
                self._freed.notify_all()

    def _fits(self, owner: object, size: int) -> bool:
        others = sum(held for each, held in self._held.items() if each is not owner)
        return not others or others + self._held.get(owner, 0) + size <= self._room
