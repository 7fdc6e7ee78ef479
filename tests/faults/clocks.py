"""The clock of an api process, set off and right while it runs."""

from __future__ import annotations

import struct
from pathlib import Path

from localcluster.cluster import Cluster

_SHIFTED = Path(__file__).with_name("shifted")


class ApiClock:
    """An api process's clock is off by some seconds: ahead if positive. The process is one with these `settings`."""

    def __init__(self, file: Path, offset_s: int) -> None:
        self.name = f"api-clock-{offset_s:+d}s"
        self.settings = {"PYTHONPATH": str(_SHIFTED), "FAULT_CLOCK": str(file)}
        self._file = file
        self._offset_s = offset_s
        self._set(0)

    def off_by(self, offset_s: int) -> ApiClock:
        """The same clock, for another number of seconds."""
        return ApiClock(self._file, offset_s)

    def start(self, _: Cluster) -> None:
        """Set it off."""
        self._set(self._offset_s)

    def stop(self, _: Cluster) -> None:
        """Set it right."""
        self._set(0)

    def _set(self, offset_s: int) -> None:
        # In place: the process has mapped the file into its memory.
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("d", offset_s))
