"""Sets the clock of an api or worker process wrong, and right again, while the process runs."""

from __future__ import annotations

import struct
from pathlib import Path

from localcluster.cluster import Cluster

_SHIFTED = Path(__file__).with_name("shifted")


class ProcessClock:
    """The clock of a process is wrong by some seconds: ahead if positive. The process must have these `settings`."""

    def __init__(self, file: Path, offset_s: int, of: str = "api") -> None:
        self.name = f"{of}-clock-{offset_s:+d}s"
        self._of = of
        self.settings = {"PYTHONPATH": str(_SHIFTED), "FAULT_CLOCK": str(file)}
        self._file = file
        self._offset_s = offset_s
        self._set(0)

    def off_by(self, offset_s: int) -> ProcessClock:
        """The same clock, for another number of seconds."""
        return ProcessClock(self._file, offset_s, self._of)

    def start(self, _: Cluster) -> None:
        """Set it wrong."""
        self._set(self._offset_s)

    def stop(self, _: Cluster) -> None:
        """Set it right."""
        self._set(0)

    def _set(self, offset_s: int) -> None:
        # The file is changed in place: the process has mapped it into its memory.
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("d", offset_s))
