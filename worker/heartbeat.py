"""The file by which a worker shows that it is healthy. A worker that cannot touch it continues to work."""

from __future__ import annotations

import logging
from pathlib import Path

_log = logging.getLogger(__name__)


class Heartbeat:
    """The heartbeat file at `path`; an empty path: none."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._fails = False

    def beat(self) -> None:
        """Touch the file. A failure, such as a full disk, is logged once: the health check notices it by itself."""
        if self._path is None:
            return
        try:
            self._path.touch()
        except OSError as error:
            if not self._fails:
                _log.error("the heartbeat file cannot be touched", extra={"error": str(error)})
            self._fails = True
        else:
            self._fails = False


NONE = Heartbeat("")
