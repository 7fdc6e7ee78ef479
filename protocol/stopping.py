"""How a signal tells the main thread of a program to stop."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class Stop:
    """The main thread waits for it; a signal handler interrupts the wait to call `set`.

    The `set` of a `threading.Event` takes a lock that the interrupted thread may hold in the middle of its `wait`: the
    thread would then wait for itself, and only SIGKILL would end the program. `SimpleQueue.put` may be called there.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._told: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Stop the program; may be called at any moment, even by signal handlers."""
        self._is_set = True
        self._told.put(None)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, for `timeout_s` at most; returns whether it was set. Only one thread may call this."""
        if not self._is_set:
            with suppress(Empty):
                self._told.get(timeout=timeout_s)
        return self._is_set
