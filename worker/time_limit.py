"""A limit for all operations on a socket together. The socket's own timeout limits only a single receive: a peer that
sends a byte from time to time would never reach it.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class TimeLimit:
    """Shuts a socket down after `seconds`, unless the block that it guards ends before. Afterwards `reached` says which
    of the two happened.
    """

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        self.reached = False
        self._connected = connected
        self._lock = threading.Lock()
        self._over = False
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        # If the machine cannot start another thread, the operations run without the limit.
        with suppress(RuntimeError):
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True

    def _shut_down(self) -> None:
        with self._lock:
            if not self._over:
                self.reached = True
                with suppress(OSError):
                    self._connected.shutdown(socket.SHUT_RDWR)
