"""How a signal tells the main thread of a program to stop."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class Stop:
    """Waited for by the main thread, which a signal handler interrupts to call `set`.

    The `set` of a `threading.Event` takes a lock that the thread may hold in that moment, in the middle of its `wait`:
    it would then wait for itself, and the program for SIGKILL. `SimpleQueue.put` is made for this.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._told: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Stop; may be called at any moment, by signal handlers too."""
        self._is_set = True
        self._told.put(None)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, but not for longer than that; returns whether it was. For one thread alone."""
        if not self._is_set:
            with suppress(Empty):
                self._told.get(timeout=timeout_s)
        return self._is_set
