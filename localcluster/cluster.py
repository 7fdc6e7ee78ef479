"""`Cluster`: start, stop, scale and look at the whole system. The only class that callers outside need."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from localcluster import dotenv, leftovers, probes, programs
from localcluster.config import TIERS, ClusterConfig
from localcluster.programs import Layout, Program
from localcluster.supervisor import ENDED, ProcessStatus, Supervisor, SupervisorDownError

_POLL_S = 0.05
_LOG_LINES = 15


class ClusterError(RuntimeError):
    """The cluster is not in the state that was asked for; the message says which program and what it logged."""


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
        return f"http://{self._client_host()}:{self.config.api_port}"

    @property
    def redis_url(self) -> str:
        return self.api_settings["TARANTKV_REDIS_URL"]

    @property
    def admin_user(self) -> str:
        return self.config.settings[dotenv.ADMIN_USER]

    @property
    def admin_password(self) -> str:
        return self.config.settings[dotenv.ADMIN_PASSWORD]

    @property
    def api_settings(self) -> Mapping[str, str]:
        """`TARANTKV_*` as the api has them: for the user administration and for tests that look at the store."""
        return programs.api_settings(self.config)

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
        return probes.api_is_ready(self._client_host(), self.config.api_port)

    def is_healthy(self) -> bool:
        """Ready, and every program runs."""
        try:
            return self.is_ready() and all(status.state == "RUNNING" for status in self.status())
        except SupervisorDownError:
            return False

    def start(self) -> None:
        """Start what does not run and wait until the api is ready; changes nothing when all is well.

        Raises `ClusterError` when a program ends or the deadline passes; then everything is stopped again.
        """
        with self._lock():
            if self.is_healthy():
                return
            try:
                self._start_all()
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
        """Add or remove workers until there are `count`; the others keep running untouched."""
        if count < 1:
            raise ClusterError(f"{count} workers: at least one is needed")
        with self._lock():
            wanted = programs.programs(self.config, count)
            running = {status.name for status in self._supervisor.statuses()}
            programs.write_files(self.config, tuple(program for program in wanted if program.name not in running))
            self._supervisor.configure(self.config, wanted)
            added, removed = self._supervisor.reload_groups()
            for name in removed:
                self._tolerant("stopProcessGroup", name, False)
            self._wait(lambda: all(s.pid == 0 for s in self._statuses(removed)), self._stop_time(), "stop", removed)
            for name in removed:
                self._supervisor.call("removeProcessGroup", name)
            for name in added:
                self._supervisor.call("addProcessGroup", name)
                self._supervisor.call("startProcess", name, False)
            self._wait_running(added, time.monotonic() + self.config.start_timeout_s)

    # -- one program

    def pid(self, name: str) -> int:
        """Its process id; 0 when it does not run."""
        return next(iter(self._statuses([name]))).pid

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the program's process, and return the id it had."""
        pid = self.pid(name)
        if pid == 0:
            raise ClusterError(f"{name} does not run")
        os.kill(pid, sig)
        return pid

    def stop_program(self, name: str) -> None:
        """Stop it in the orderly way and leave it stopped."""
        self._tolerant("stopProcess", name, True)

    def start_program(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        """Start a stopped program and return when it is running; `settings` are added to its environment for good."""
        if settings:
            program = self._program(name)
            changed = Program(program.name, program.tier, program.argv, {**program.env, **settings}, program.cwd)
            programs.write_files(self.config, (changed,))
        self._tolerant("startProcess", name, False)
        self._wait_running([name], time.monotonic() + self.config.start_timeout_s)

    def restart(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        self.stop_program(name)
        self.start_program(name, settings)

    def wait_running(self, *names: str, timeout_s: float = 30.0) -> None:
        """Until these programs (all, when none is named) run and the servers among them answer."""
        deadline = time.monotonic() + timeout_s
        chosen = list(names) or [status.name for status in self._supervisor.statuses()]
        # A program that was killed a moment ago may be between two tries: here, ended is no failure.
        self._wait(lambda: all(s.state == "RUNNING" for s in self._statuses(chosen)), deadline, "run", chosen)
        for name in chosen:
            self._wait(lambda name=name: self._answers(name), deadline, "answer", [name])  # type: ignore[misc]

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Until the api says that it is ready."""
        self._wait(self.is_ready, time.monotonic() + timeout_s, "be ready", ["api"])

    # -- how

    def _client_host(self) -> str:
        host = self.api_settings["TARANTKV_HOST"]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  a client cannot use these

    def _start_all(self) -> None:
        if not self._supervisor.answers():
            # Where nobody answers, whatever is there is left from an unclean stop.
            leftovers.end(self.layout)
            self._start_supervisor()
        deadline = time.monotonic() + self.config.start_timeout_s
        names = [status.name for status in self.status()]
        for tier in TIERS:
            members = [name for name in names if _tier_of(name) == tier]
            for status in self._statuses(members):
                if status.state not in ("RUNNING", "STARTING"):
                    self._tolerant("startProcess", status.name, False)
            for name in members:
                self._wait_unless_ended(lambda name=name: self._answers(name), deadline, names, f"{name} to answer")  # type: ignore[misc]
        self._wait_running(names, deadline)

    def _start_supervisor(self) -> None:
        wanted = programs.programs(self.config, self.config.workers)
        supervisord = programs.supervisor_program(self.config, self._supervisor.command())
        programs.write_files(self.config, (supervisord, *wanted))
        self._supervisor.configure(self.config, wanted)
        self._daemon = self._supervisor.spawn()
        deadline = time.monotonic() + self.config.start_timeout_s
        while not self._supervisor.answers():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise ClusterError(f"supervisord did not start:\n{self.log_tail('supervisord-start')}")
            time.sleep(_POLL_S)

    def _stop_all(self) -> None:
        with contextlib.suppress(SupervisorDownError):
            statuses = self.status()
            for tier in reversed(TIERS):
                members = [status.name for status in statuses if _tier_of(status.name) == tier]
                for name in members:
                    self._tolerant("stopProcess", name, False)
                with contextlib.suppress(ClusterError):
                    # Whatever does not stop in time is killed by supervisord, or below.
                    self._wait(
                        lambda members=members: all(s.pid == 0 for s in self._statuses(members)),  # type: ignore[misc]
                        self._stop_time(),
                        "stop",
                        members,
                    )
            self._tolerant("shutdown")
            with contextlib.suppress(ClusterError):
                self._wait(lambda: not self._supervisor.answers(), self._stop_time(), "stop", [])
        if self._daemon is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._daemon.wait(timeout=self.config.stop_timeout_s)
        leftovers.end(self.layout)
        if self._daemon is not None:
            self._daemon.wait(timeout=self.config.stop_timeout_s)
            self._daemon = None
        for path in (*self.layout.run_dir.glob("*.pid"), self.layout.socket("supervisord")):
            path.unlink(missing_ok=True)

    def _answers(self, name: str) -> bool:
        if name == "redis":
            return probes.redis_answers(self.config)
        if name == "api":
            return self.is_ready()
        shards = {f"shard-{shard.name}": shard for shard in self.config.shards}
        return probes.shard_answers(self.config, shards[name]) if name in shards else True

    def _wait_running(self, names: list[str], deadline: float) -> None:
        self._wait_unless_ended(
            lambda: all(status.state == "RUNNING" for status in self._statuses(names)), deadline, names, "all to run"
        )

    def _wait_unless_ended(self, condition: Callable[[], bool], deadline: float, names: list[str], what: str) -> None:
        """A program that ends while the cluster starts has a reason that waiting would only hide."""
        while not condition():
            for status in self._statuses(names):
                if status.state in ENDED:
                    ending = self._supervisor.last_exit(status.name) or status.detail
                    raise ClusterError(f"{status.name} ended ({ending}):\n{self.log_tail(status.name)}")
            if time.monotonic() > deadline:
                tails = "\n".join(f"-- {name}\n{self.log_tail(name)}" for name in names)
                raise ClusterError(f"waited too long for {what}; the last lines of each log:\n{tails}")
            time.sleep(_POLL_S)

    def _wait(self, condition: Callable[[], bool], deadline: float, what: str, names: list[str]) -> None:
        while not condition():
            if time.monotonic() > deadline:
                tails = "\n".join(f"-- {name}\n{self.log_tail(name)}" for name in names)
                raise ClusterError(f"{', '.join(names)} did not {what} in time; last lines:\n{tails}")
            time.sleep(_POLL_S)

    def _statuses(self, names: list[str]) -> list[ProcessStatus]:
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

    def _tolerant(self, method: str, *arguments: object) -> None:
        """Call, and take "it is so already" for done."""
        try:
            self._supervisor.call(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith(("ALREADY_STARTED", "NOT_RUNNING", "SHUTDOWN_STATE")):
                raise

    def _stop_time(self) -> float:
        return time.monotonic() + self.config.stop_timeout_s + 5.0

    def log_tail(self, name: str, lines: int = _LOG_LINES) -> str:
        path = self.log_path(name)
        if not path.exists():
            return "(no log)"
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            text = file.read().decode(errors="replace").rstrip()
        return "\n".join(text.splitlines()[-lines:]) or "(nothing logged)"

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One start, stop or scaling at a time, also between processes."""
        self.layout.make(self.config)
        with (self.layout.run_dir / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _tier_of(name: str) -> str:
    return name.partition("-")[0]
