"""The reports of the api processes of a machine: if there are several, each writes its own to a file once a second."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from api.ops.lane_states import LaneStates
from api.ops.metrics import MULTIPROCESS_DIRECTORY
from api.ops.process_memory import resident_bytes
from api.ops.recent import Problems, Recent
from protocol.version import VERSION

_log = logging.getLogger(__name__)

STALE_S = 10.0
"""A report that is older belongs to a process that is frozen or dead."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class ProcessReports:
    """The report of this process, and those of its siblings."""

    def __init__(
        self,
        recent: Recent,
        problems: Problems,
        waiting: Callable[[], int],
        oldest_s: Callable[[], dict[str, float]],
        process: str,
        resent: Callable[[], int],
        lanes: LaneStates,
    ) -> None:
        self._recent = recent
        self._problems = problems
        self._waiting = waiting
        self._oldest_s = oldest_s
        self._process = process
        self._resent = resent
        self._lanes = lanes
        self._started = time.time()
        directory = os.environ.get(MULTIPROCESS_DIRECTORY)
        self._directory = Path(directory) if directory else None
        self._fails = False

    def own(self) -> dict[str, Any]:
        """Make the report of this process."""
        return {
            "process": self._process,
            "pid": os.getpid(),
            "version": VERSION,
            "at": time.time(),
            "started_at": self._started,
            "memory_bytes": resident_bytes(),
            "waiting": self._waiting(),
            "oldest_s": self._oldest_s(),
            "seconds": self._recent.seconds,
            "requests": self._recent.requests,
            "chunks": self._recent.chunks(),
            "answers": self._recent.answers(),
            "refused": self._recent.refused,
            "resent": self._resent(),
            "lanes": self._lanes.rows(),
            "problems": [each._asdict() for each in self._problems.all()],
        }

    def write(self) -> None:
        """Write the report for the siblings, if there are any and the disk is not full."""
        if self._directory is None:
            return
        path = self._directory / f"status-{os.getpid()}.json"
        scratch = path.with_suffix(".new")
        try:
            scratch.write_bytes(_encode(self.own()))
            scratch.replace(path)
        except OSError as error:
            if not self._fails:
                _log.warning("this process cannot report to the others of this machine", extra={"error": str(error)})
            self._fails = True
        else:
            self._fails = False

    def all(self) -> list[dict[str, Any]]:
        """The reports of all living processes of this machine, this one first."""
        return [self.own(), *self._siblings()]

    def _siblings(self) -> list[dict[str, Any]]:
        if self._directory is None:
            return []
        found = []
        for file in self._directory.glob("status-*.json"):
            pid = file.stem.partition("-")[2]
            if pid == str(os.getpid()):
                continue
            try:
                report = _decode(file.read_bytes())
                if Path(f"/proc/{pid}").exists() and time.time() - report["at"] < STALE_S:
                    found.append(report)
                else:
                    file.unlink()
            except (OSError, ValueError, LookupError):
                continue
        return sorted(found, key=lambda report: str(report["pid"]))
