"""`Cluster`: start, stop, scale and look at the whole system. The only class that callers outside need."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from localcluster import dotenv, leftovers, probes, programs
from localcluster.config import TIERS, ClusterConfig
from localcluster.ports import is_taken
from localcluster.programs import Layout, Program
from localcluster.supervisor import ProcessStatus, Supervisor, SupervisorDownError
from localcluster.waiting import ClusterError, StartWatch, log_tail, wait_until, with_logs

__all__ = ["Cluster", "ClusterError"]

_STOP_SIGNAL_TIMEOUT_S = 10.0


class Cluster:
    """One cluster on this machine, running or not.

    All state is on disk and in supervisord, so two objects with the same data directory are the same cluster.
    Programs are named `redis`, `shard-<name>`, `worker-<number>`, `api`.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self.layout = Layout(config.data_dir)
        self._supervisor = Supervisor(self.layout)
        self._daemon: subprocess.Popen[bytes] | None = None

    # -- where it is

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._client_host()}:{self.config.api_port}"

    @property
    def redis_url(self) -> str:
        return self.settings["TARANTKV_REDIS_URL"]

    @property
    def admin_user(self) -> str:
        return self.config.settings[dotenv.ADMIN_USER]

    @property
    def admin_password(self) -> str:
        return self.config.settings[dotenv.ADMIN_PASSWORD]

    @property
    def settings(self) -> Mapping[str, str]:
        """Every `TARANTKV_*` of this cluster, for clients that need more than the api: tests, user administration."""
        return programs.all_settings(self.config)

    def log_path(self, name: str) -> Path:
        return self.layout.log(name)

    def console_socket(self, shard: str) -> Path:
        """The admin console of a shard (`shard` is its own name, as `s1`)."""
        return self.layout.socket(f"shard-{shard}")

    # -- the whole

    def is_running(self) -> bool:
        """Supervised at all; `is_ready` says whether it works."""
        return self._supervisor.answers()

    def is_ready(self) -> bool:
        return probes.api_is_ready(self._client_host(), self.config.api_port, tls=self._tls)

    def is_healthy(self) -> bool:
        """Ready, and every program runs."""
        try:
            return self.is_ready() and all(status.state == "RUNNING" for status in self.status())
        except SupervisorDownError:
            return False

    def start(self) -> None:
        """Start what does not run and wait until the api is ready; changes nothing when all is well.

        Raises `ClusterError` when a program ends or the deadline passes. What ran before the call runs on, what did
        not is stopped again.
        """
        with self._lock():
            if self.is_healthy():
                return
            if self._supervisor.answers():
                self._start_programs()
                return
            try:
                # Where nobody answers, whatever is there is left from an unclean stop.
                leftovers.end(self.layout)
                self._reap()
                self._check_ports()
                self._start_supervisor()
                self._start_programs()
            except BaseException:
                self._stop_all()
                raise

    def stop(self) -> None:
        """Stop everything, the api first; nothing is left running, also after an unclean earlier stop."""
        if not self.layout.run_dir.exists():
            return
        with self._lock():
            self._stop_all()

    def wipe(self) -> None:
        """Stop and remove the data directory with everything in it."""
        self.stop()
        shutil.rmtree(self.config.data_dir, ignore_errors=True)

    def status(self) -> list[ProcessStatus]:
        """All programs in the order of starting. Raises `SupervisorDownError` when the cluster does not run."""
        order = {tier: index for index, tier in enumerate(TIERS)}
        return sorted(
            self._supervisor.statuses(),
            key=lambda status: (order[_tier_of(status.name)], len(status.name), status.name),
        )

    def outdated(self) -> list[str]:
        """Programs that would get other settings if they were started now."""
        return programs.differing(self.config, programs.programs(self.config, self.workers()))

    # -- workers

    def workers(self) -> int:
        """How many workers are supervised now."""
        return sum(_tier_of(status.name) == "worker" for status in self._supervisor.statuses())

    def scale_workers(self, count: int) -> None:
        """Add or remove workers until there are `count`; the others keep running untouched.

        Raises `ClusterError` when a new one ends or does not run in time; then there are as many as before.
        """
        if count < 1:
            raise ClusterError(f"{count} workers: at least one is needed")
        with self._lock():
            before = self.workers()
            added = self._supervise_workers(count)
            try:
                self._start_and_wait(added)
            except BaseException:
                # One that cannot start would be tried again and again, and keep the whole from being healthy.
                self._supervise_workers(before)
                raise

    # -- one program

    def pid(self, name: str) -> int:
        """Its process id; 0 when it does not run."""
        return next(iter(self._statuses([name]))).pid

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the program's process, and return the id it had. After SIGSTOP it stands still."""
        pid = self.pid(name)
        if pid == 0:
            raise ClusterError(f"{name} does not run")
        os.kill(pid, sig)
        if sig == signal.SIGSTOP:
            # One thread takes the signal and stops the others; until it has run, which may be a while, they go on.
            end = time.monotonic() + _STOP_SIGNAL_TIMEOUT_S
            wait_until(lambda: probes.stands_still(pid), end, lambda: f"{name} goes on after SIGSTOP")
        return pid

    def stop_program(self, name: str) -> None:
        """Stop it in the orderly way and leave it stopped."""
        self._supervisor.call_tolerantly("stopProcess", name, True)

    def start_program(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        """Start a stopped program and return when it is running; `settings` are added to its environment for good."""
        if settings:
            program = self._program(name)
            changed = Program(program.name, program.tier, program.argv, {**program.env, **settings}, program.cwd)
            programs.write_files(self.config, (changed,))
        self._start_and_wait([name])

    def restart(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        self.stop_program(name)
        self.start_program(name, settings)

    def wait_ended(self, name: str, pid: int, timeout_s: float = 30.0) -> None:
        """Until the program's process is no longer `pid`, for example after `kill`; it may be running again by then."""
        self._wait(lambda: self.pid(name) != pid, timeout_s, f"{name} did not end", [name])

    def wait_running(self, *names: str, timeout_s: float = 30.0) -> None:
        """Until these programs (all, when none is named) run and the servers among them answer."""
        chosen = list(names) or [status.name for status in self._supervisor.statuses()]
        # A program that was killed a moment ago may be between two tries: here, ended is no failure.
        self._wait(
            lambda: (
                all(status.state == "RUNNING" for status in self._statuses(chosen))
                and all(self._answers(name) for name in chosen)
            ),
            timeout_s,
            f"not all of {', '.join(chosen)} run and answer",
            chosen,
        )

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Until the api says that it is ready."""
        self._wait(self.is_ready, timeout_s, "the api is not ready", ["api"])

    # -- how

    def _client_host(self) -> str:
        host = self.settings["TARANTKV_HOST"]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  a client cannot use these

    @property
    def _tls(self) -> bool:
        return bool(programs.settings_for(self.config, "api").get("TARANTKV_TLS_CERT"))

    def _check_ports(self) -> None:
        """Here the reason is one line, and not a program's log."""
        wanted = {self.config.api_port: "TARANTKV_PORT", self.config.redis_port: "TARANTKV_REDIS_URL"}
        wanted |= dict.fromkeys((shard.port for shard in self.config.shards), "TARANTKV_SHARDS")
        for port, name in wanted.items():
            if is_taken(port):
                raise ClusterError(f"port {port} is taken; set {name}")

    def _start_supervisor(self) -> None:
        wanted = programs.programs(self.config, self.config.workers)
        supervisord = programs.supervisor_program(self.config, self._supervisor.command())
        programs.write_files(self.config, (supervisord, *wanted))
        self._supervisor.configure(self.config, wanted)
        daemon = self._daemon = self._supervisor.spawn()
        self._wait(
            lambda: self._supervisor.answers() or daemon.poll() is not None,
            self.config.start_timeout_s,
            "supervisord did not start",
            ["supervisord-start"],
        )
        if daemon.poll() is not None:
            raise ClusterError(f"supervisord did not start:\n{log_tail(self.log_path('supervisord-start'))}")

    def _start_programs(self) -> None:
        """Tier by tier, as each needs the one before it to answer."""
        watch = StartWatch(self._supervisor, self.config.start_timeout_s)
        names = [status.name for status in self.status()]
        for tier in TIERS:
            members = [name for name in names if _tier_of(name) == tier]
            watch.start(members)
            watch.until(
                lambda members=members: all(self._answers(name) for name in members),  # type: ignore[misc]
                f"{', '.join(members)}: no answer in time",
                members,
            )
        watch.until_running(names)

    def _supervise_workers(self, count: int) -> list[str]:
        """Have `count` workers supervised: stops those past it; returns the names of the new ones, not started."""
        wanted = programs.programs(self.config, count)
        known = {status.name for status in self._supervisor.statuses()}
        programs.write_files(self.config, tuple(program for program in wanted if program.name not in known))
        self._supervisor.configure(self.config, wanted)
        added, removed = self._supervisor.reload_groups()
        for name in removed:
            self._supervisor.call_tolerantly("stopProcessGroup", name, False)
        self._wait_stopped(removed)
        for name in removed:
            self._supervisor.call("removeProcessGroup", name)
        for name in added:
            self._supervisor.call("addProcessGroup", name)
        return added

    def _start_and_wait(self, names: Sequence[str]) -> None:
        watch = StartWatch(self._supervisor, self.config.start_timeout_s)
        watch.start(names)
        watch.until_running(names)

    def _stop_all(self) -> None:
        with contextlib.suppress(SupervisorDownError, ClusterError):
            statuses = self.status()
            for tier in reversed(TIERS):
                names = [status.name for status in statuses if _tier_of(status.name) == tier]
                for name in names:
                    self._supervisor.call_tolerantly("stopProcess", name, False)
                self._wait_stopped(names)
            self._supervisor.call_tolerantly("shutdown")
            self._wait(lambda: not self._supervisor.answers(), self._stop_timeout_s, "supervisord did not stop", [])
        if self._daemon is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._daemon.wait(timeout=self.config.stop_timeout_s)
        # Also what did not stop in time.
        leftovers.end(self.layout)
        self._reap()
        for path in (*self.layout.run_dir.glob("*.pid"), self.layout.socket("supervisord")):
            path.unlink(missing_ok=True)

    def _wait_stopped(self, names: Sequence[str]) -> None:
        self._wait(
            lambda: all(status.pid == 0 for status in self._statuses(names)),
            self._stop_timeout_s,
            f"{', '.join(names)}: not stopped in time",
            names,
        )

    @property
    def _stop_timeout_s(self) -> float:
        # supervisord kills what does not stop in the given time; this is for supervisord itself.
        return self.config.stop_timeout_s + 5.0

    def _wait(self, condition: Callable[[], bool], timeout_s: float, failure: str, names: Sequence[str]) -> None:
        logs = [self.log_path(name) for name in names]
        wait_until(condition, time.monotonic() + timeout_s, lambda: with_logs(failure, logs))

    def _reap(self) -> None:
        """Once supervisord is dead: a child that nobody waits for stays in the process table."""
        if self._daemon is not None:
            self._daemon.wait(timeout=self.config.stop_timeout_s)
            self._daemon = None

    def _answers(self, name: str) -> bool:
        if name == "redis":
            return probes.redis_answers(self.config)
        if name == "api":
            return self.is_ready()
        shards = {f"shard-{shard.name}": shard for shard in self.config.shards}
        return probes.shard_answers(self.config, shards[name]) if name in shards else True

    def _statuses(self, names: Sequence[str]) -> list[ProcessStatus]:
        found = {status.name: status for status in self._supervisor.statuses()}
        unknown = [name for name in names if name not in found]
        if unknown:
            raise ClusterError(f"no such program: {', '.join(unknown)}; there are {', '.join(found)}")
        return [found[name] for name in names]

    def _program(self, name: str) -> Program:
        for program in programs.programs(self.config, self.workers()):
            if program.name == name:
                return program
        raise ClusterError(f"no such program: {name}")

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One start, stop or scaling at a time, also between processes."""
        self.layout.make(self.config)
        with (self.layout.run_dir / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _tier_of(name: str) -> str:
    return name.partition("-")[0]
