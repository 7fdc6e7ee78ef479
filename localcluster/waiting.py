"""Waiting for a cluster to reach a state, with a deadline; errors quote the programs' logs."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.supervisor import ENDED, STAYS_DOWN, Supervisor

__all__ = ["LONGEST_START_S", "ClusterError", "StartWatch", "log_tail", "wait_until", "with_logs"]

_POLL_S = 0.05
_LOG_LINES = 15
_LOG_BYTES = 64 * 1024

_RECOVERING = "rows processed"
"""A shard logs this for every 100,000 rows of its log that it has read at its start."""

LONGEST_START_S = 1800.0
"""The longest start, including the time in which shards read their logs."""


def wait_until(condition: Callable[[], bool], deadline: float, failure: Callable[[], str]) -> None:
    """Wait; raise `ClusterError` with the text of `failure` when the monotonic clock passes `deadline`."""
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(failure())
        time.sleep(_POLL_S)


def with_logs(text: str, logs: Sequence[Path]) -> str:
    return "\n".join([text, *(f"-- {log.stem}\n{log_tail(log)}" for log in logs)])


class StartWatch:
    """Waits while programs start, and fails as soon as one of them ends: waiting would only hide the reason.

    The time starts again while a shard reads its log, which takes minutes after an hour of writes. If programs may end
    `may_end` times each, one that is restarted may end that many more times.
    """

    def __init__(self, supervisor: Supervisor, timeout_s: float, may_end: int = 0) -> None:
        self._supervisor = supervisor
        self._may_end = may_end
        self._ends: dict[str, int] = {}
        self._is_down: set[str] = set()
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._last_deadline = time.monotonic() + LONGEST_START_S
        self._log_sizes: dict[str, int] = {}
        self._pids: dict[str, int] = {}
        self._log_starts: dict[str, int] = {}

    def start(self, names: Sequence[str]) -> None:
        """Start these programs; from now on they must not end."""
        for name in names:
            log = self._supervisor.layout.log(name)
            # Lines from before this start explain nothing now.
            self._log_starts[name] = log.stat().st_size if log.exists() else 0
            self._supervisor.start_process(name)
            self._pids[name] = 0

    def until(self, condition: Callable[[], bool], failure: str, names: Sequence[str]) -> None:
        self._check()
        while not condition():
            if any(self._recovers(name) for name in names):
                self._deadline = min(time.monotonic() + self._timeout_s, self._last_deadline)
            if time.monotonic() > self._deadline:
                raise ClusterError("\n".join([failure, *(f"-- {name}\n{self._log_of(name)}" for name in names)]))
            time.sleep(_POLL_S)
            self._check()

    def _recovers(self, name: str) -> bool:
        """Whether a program has read more of its log since the last look."""
        log = self._supervisor.layout.log(name)
        size = log.stat().st_size if log.exists() else 0
        grown = size > self._log_sizes.get(name, self._log_starts.get(name, 0))
        self._log_sizes[name] = size
        return grown and _RECOVERING in log_tail(log, lines=1)

    def until_running(self, names: Sequence[str], answers: Callable[[str], bool]) -> None:
        """Wait until supervisord reports all of them as running, which only means that they have not ended, and all
        answer.
        """

        def running() -> bool:
            states = {status.name: status.state for status in self._supervisor.statuses()}
            return all(states[name] == "RUNNING" and answers(name) for name in names)

        self.until(running, f"not all of {', '.join(names)} run in time", names)

    def _check(self) -> None:
        for status in self._supervisor.statuses():
            if status.name not in self._pids:
                continue
            before = self._pids[status.name]
            is_down = status.state in ENDED
            # supervisord may have restarted it between two looks: another process id proves that it ended.
            if (is_down and status.name not in self._is_down) or (before and status.pid not in (0, before)):
                self._ends[status.name] = self._ends.get(status.name, 0) + 1
            (self._is_down.add if is_down else self._is_down.discard)(status.name)
            stays_down = is_down and (status.state == STAYS_DOWN or self._supervisor.found_wrong_settings(status.name))
            if self._ends.get(status.name, 0) > self._may_end or stays_down:
                how = self._supervisor.last_exit(status.name) or status.detail
                log = self._log_of(status.name)
                raise ClusterError(f"{status.name} ended ({how}): {log.splitlines()[-1]}\n{log}")
            # While it is down the id is 0, so that its next process does not count as another end.
            self._pids[status.name] = status.pid or (0 if is_down else before)

    def _log_of(self, name: str) -> str:
        return log_tail(self._supervisor.layout.log(name), start=self._log_starts.get(name, 0))


def log_tail(path: Path, lines: int = _LOG_LINES, start: int = 0) -> str:
    """The last lines of a log, none before the byte `start` (unless the log was rotated since)."""
    if not path.exists():
        return "(no log)"
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _LOG_BYTES, start if start <= size else 0))
        text = file.read().decode(errors="replace").rstrip()
    return "\n".join(text.splitlines()[-lines:]) or "(nothing logged)"
