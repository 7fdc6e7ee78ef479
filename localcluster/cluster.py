"""`Cluster` starts, stops and scales the whole system. Callers outside need only this class."""

import contextlib
import errno
import fcntl
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import IO

from localcluster import files, leftovers, programs
from localcluster.config import TIERS, ClusterConfig
from localcluster.errors import ClusterError, SupervisorDownError
from localcluster.members import Members, tier_of
from localcluster.ports import why_not
from localcluster.waiting import LONGEST_START_S, StartWatch, log_tail, wait_until

__all__ = ["Cluster", "ClusterError"]

# With less space a program cannot write a log line, so its log cannot show the reason.
_SPARE_BYTES = 64 * 1024


class Cluster(Members):
    """One cluster on this machine, running or not.

    All state is on disk and in supervisord, so two objects with the same data directory are the same cluster.
    Programs are named `redis` (and `redis-2` and so on, one for each lane), `shard-<name>`, `worker-<number>`, `api`.
    """

    def __init__(self, config: ClusterConfig) -> None:
        super().__init__(config)
        self._daemon: subprocess.Popen[bytes] | None = None
        self.announce: Callable[[str], None] = lambda _: None
        """Called with a line about a step that takes long; the command line prints it."""

    # -- the whole

    def is_running(self) -> bool:
        """Whether supervisord runs; `is_ready` says whether the system works."""
        return self._supervisor.answers()

    def is_healthy(self) -> bool:
        """Whether the api is ready and every program runs."""
        try:
            return self.is_ready() and all(status.state == "RUNNING" for status in self.status())
        except SupervisorDownError:
            return False

    def start(self) -> None:
        """Start the programs that do not run, and wait until the api is ready; does nothing if all is well.

        Raises `ClusterError` when a program ends or the deadline passes. Programs that ran before the call continue;
        those that the call started are stopped again.
        """
        with self._lock():
            if self.is_healthy():
                return
            if self._supervisor.answers():
                self._start_programs()
                return
            try:
                # If supervisord does not answer, running programs are left from an unclean stop.
                leftovers.end(self.layout)
                self._reap()
                self._check_ports()
                self._start_supervisor()
                self._start_programs()
            except BaseException as error:
                self._stop_all()
                if isinstance(error, SupervisorDownError):
                    raise ClusterError(f"supervisord ended: {self._why_supervisor_ended()}") from None
                raise

    def stop(self) -> None:
        """Stop everything, the api first; nothing is left running, even after an unclean earlier stop."""
        if not self.layout.run_dir.exists():
            # The data directory was removed, perhaps while its programs ran.
            leftovers.end(self.layout)
            return
        with self._lock():
            self._stop_all()

    def wipe(self) -> None:
        """Stop and remove the data directory with everything in it."""
        self.stop()
        if self.config.data_dir.exists():
            shutil.rmtree(self.config.data_dir)

    def outdated(self) -> list[str]:
        """Programs that would get other settings if they were started now."""
        return files.differing(self.config, self.programs(self.workers()))

    # -- workers

    def scale_workers(self, count: int) -> None:
        """Add or remove workers until there are `count`; the others keep running.

        Raises `ClusterError` when a new one ends or does not run in time; then the number is as before.
        """
        if count < 1:
            raise ClusterError(f"{count} workers: at least one is needed")
        with self._lock():
            before = self.workers()
            added = self._supervise_workers(count)
            try:
                self._start_and_wait(added)
            except BaseException:
                # supervisord would start a worker that cannot run again and again, and the cluster would not be
                # healthy.
                self._supervise_workers(before)
                raise

    # -- how

    def _check_ports(self) -> None:
        """Check the ports here: the reason is then one line, and not in a program's log."""
        wanted = [("127.0.0.1", port, "TARANTKV_REDIS_URL") for port in self.config.redis_ports]
        wanted += [("127.0.0.1", shard.port, "TARANTKV_SHARDS") for shard in self.config.shards]
        host = self.settings["TARANTKV_HOST"]
        wanted.insert(0, (host, self.config.api_port, "TARANTKV_PORT"))
        for address, port, name in wanted:
            error = why_not(address, port)
            if error is None:
                continue
            if error.errno == errno.EADDRINUSE:
                raise ClusterError(f"port {port} is taken; set {name}")
            if error.errno == errno.EACCES:
                raise ClusterError(f"port {port} is reserved for root; set {name}")
            raise ClusterError(f"TARANTKV_HOST: {address!r} is no address of this machine: {error.strerror}")

    def _start_supervisor(self) -> None:
        wanted = self.programs(self.config.workers)
        supervisord = programs.supervisor_program(self.config, self._supervisor.command())
        files.forget(self.layout, files.known(self.layout))
        self.write((supervisord, *wanted))
        self._supervisor.configure(self.config, wanted)
        daemon = self._daemon = self._supervisor.spawn()
        self._wait(
            lambda: self._supervisor.answers() or daemon.poll() is not None,
            self.config.start_timeout_s,
            "supervisord did not start",
            ["supervisord-start"],
        )
        if daemon.poll() is not None:
            raise SupervisorDownError

    def _why_supervisor_ended(self) -> str:
        if shutil.disk_usage(self.config.data_dir).free < _SPARE_BYTES:
            return f"the disk of {self.config.data_dir} is full"
        return log_tail(self.log_path("supervisord-start"), 1)

    def _start_programs(self) -> None:
        """Start tier by tier: each needs answers from the one before it."""
        watch = StartWatch(self._supervisor, self.config.start_timeout_s, self.may_end)
        names = [status.name for status in self.status()]
        for tier in TIERS:
            members = [name for name in names if tier_of(name) == tier]
            watch.start(members)
            if tier == "worker":
                # Workers are not needed before the first request: the api starts meanwhile.
                continue
            watch.until(
                lambda members=members: all(self._answers(name) for name in members),  # type: ignore[misc]
                f"{', '.join(members)}: no answer in time",
                members,
            )
        watch.until_running(names, self._answers)

    def _supervise_workers(self, count: int) -> list[str]:
        """Make supervisord manage `count` workers: stops further ones; returns the names of new ones, which are not
        started.
        """
        wanted = self.programs(count)
        known = {status.name for status in self._supervisor.statuses()}
        self.write(tuple(program for program in wanted if program.name not in known))
        self._supervisor.configure(self.config, wanted)
        added, removed = self._supervisor.reload_groups()
        for name in removed:
            self._supervisor.call_tolerantly("stopProcessGroup", name, False)
        self._wait_stopped(removed)
        for name in removed:
            self._supervisor.call("removeProcessGroup", name)
        files.forget(self.layout, removed)
        for name in added:
            self._supervisor.call("addProcessGroup", name)
        return added

    def _stop_all(self) -> None:
        with contextlib.suppress(SupervisorDownError, ClusterError):
            statuses = self.status()
            for tier in reversed(TIERS):
                names = [status.name for status in statuses if tier_of(status.name) == tier]
                for name in names:
                    self._supervisor.call_tolerantly("stopProcess", name, False)
                self._wait_stopped(names)
            self._supervisor.call_tolerantly("shutdown")
            self._wait(lambda: not self._supervisor.answers(), self._stop_timeout_s, "supervisord did not stop", [])
        if self._daemon is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._daemon.wait(timeout=self.config.stop_timeout_s)
        # This includes programs that did not stop in time.
        leftovers.end(self.layout)
        self._reap()
        self.layout.socket("supervisord").unlink(missing_ok=True)

    def _reap(self) -> None:
        """Collect supervisord when it is dead: a child whose parent does not wait for it stays in the process table."""
        if self._daemon is not None:
            try:
                self._daemon.wait(timeout=self.config.stop_timeout_s)
            except subprocess.TimeoutExpired:
                # For example, it waits for a disk that does not answer: the kernel ends it after that.
                raise ClusterError(f"supervisord (process {self._daemon.pid}) was killed and does not end") from None
            self._daemon = None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Only one start, stop or scaling runs at a time, even between processes."""
        self.layout.make(self.config)
        with (self.layout.run_dir / "lock").open("w") as file:
            if not _locked(file):
                self.announce("Another start or stop is under way, waiting for it ...")
                end = time.monotonic() + LONGEST_START_S
                wait_until(
                    lambda: _locked(file), end, lambda: f"another start or stop does not end: it has {file.name} open"
                )
            yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
