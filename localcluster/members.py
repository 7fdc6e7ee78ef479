"""Operations on single programs of a cluster: addresses, state, signals, stop and start, and waiting."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from localcluster import dotenv, files, probes, programs
from localcluster.config import TIERS, ClusterConfig
from localcluster.layout import Layout
from localcluster.programs import Program
from localcluster.supervisor import ProcessStatus, Supervisor
from localcluster.waiting import ClusterError, StartWatch, wait_until, with_logs

_STOP_SIGNAL_TIMEOUT_S = 10.0


def tier_of(name: str) -> str:
    """The tier of a program, by its name."""
    return name.partition("-")[0]


class Members:
    """The programs of a cluster, and operations on a single one."""

    may_end = 0
    """How often a program may end while it starts."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self.layout = Layout(config.data_dir)
        self._supervisor = Supervisor(self.layout)

    @property
    def base_url(self) -> str:
        host = self._client_host()
        return f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.config.api_port}"

    @property
    def redis_url(self) -> str:
        """The address of the first Redis."""
        return f"redis://127.0.0.1:{self.config.redis_port}/0"

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

    def is_ready(self) -> bool:
        return probes.api_is_ready(self._client_host(), self.config.api_port, tls=self._tls)

    def status(self) -> list[ProcessStatus]:
        """All programs in the order of starting. Raises `SupervisorDownError` when the cluster does not run."""
        order = {tier: index for index, tier in enumerate(TIERS)}
        return sorted(
            self._supervisor.statuses(),
            key=lambda status: (order[tier_of(status.name)], len(status.name), status.name),
        )

    def workers(self) -> int:
        """How many workers are supervised now."""
        return sum(tier_of(status.name) == "worker" for status in self._supervisor.statuses())

    def programs(self, workers: int) -> tuple[Program, ...]:
        """All programs, in the order of starting."""
        return programs.programs(self.config, workers)

    def write(self, wanted: tuple[Program, ...]) -> None:
        """Write what these programs are started from."""
        files.write(self.config, wanted)

    # -- one program

    def pid(self, name: str) -> int:
        """Its process id; 0 when it does not run."""
        return next(iter(self._statuses([name]))).pid

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the program's process; returns the process id. After SIGSTOP it returns when the process is
        stopped.
        """
        pid = self.pid(name)
        if pid == 0:
            raise ClusterError(f"{name} does not run")
        os.kill(pid, sig)
        if sig == signal.SIGSTOP:
            # One thread takes the signal and stops the others; until it has run, which may take some time, they
            # continue.
            end = time.monotonic() + _STOP_SIGNAL_TIMEOUT_S
            wait_until(lambda: probes.stands_still(pid), end, lambda: f"{name} goes on after SIGSTOP")
        return pid

    def stop_program(self, name: str) -> None:
        """Stop the program in the orderly way; it stays stopped."""
        self._supervisor.call_tolerantly("stopProcess", name, True)

    def start_program(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        """Start a stopped program and return when it runs; `settings` are added to its environment permanently."""
        if settings:
            program = self._program(name)
            self.write((replace(program, env={**program.env, **settings}),))
        self._start_and_wait([name])

    def restart(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        self.stop_program(name)
        self.start_program(name, settings)

    def wait_ended(self, name: str, pid: int, timeout_s: float = 30.0) -> None:
        """Wait until the program's process is no longer `pid`, for example after `kill`; it may be running again by
        then.
        """
        self._wait(lambda: self.pid(name) != pid, timeout_s, f"{name} did not end", [name])

    def wait_running(self, *names: str, timeout_s: float = 30.0) -> None:
        """Wait until these programs (all, if none is named) run, and the servers among them answer."""
        chosen = list(names) or [status.name for status in self._supervisor.statuses()]
        # A program that was just killed may be between two attempts to start: here its end is not a failure.
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
        """Wait until the api says that it is ready."""
        self._wait(self.is_ready, timeout_s, "the api is not ready", ["api"])

    # -- how

    def _client_host(self) -> str:
        host = self.settings["TARANTKV_HOST"]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  a client cannot use these

    @property
    def _tls(self) -> bool:
        return bool(programs.settings_for(self.config, "api").get("TARANTKV_TLS_CERT"))

    def _start_and_wait(self, names: Sequence[str]) -> None:
        watch = StartWatch(self._supervisor, self.config.start_timeout_s, self.may_end)
        watch.start(names)
        watch.until_running(names, self._answers)

    def _wait_stopped(self, names: Sequence[str]) -> None:
        self._wait(
            lambda: all(status.pid == 0 for status in self._statuses(names)),
            self._stop_timeout_s,
            f"{', '.join(names)}: not stopped in time",
            names,
        )

    @property
    def _stop_timeout_s(self) -> float:
        # supervisord kills programs that do not stop in time; the extra time is for supervisord itself.
        return self.config.stop_timeout_s + 5.0

    def _wait(self, condition: Callable[[], bool], timeout_s: float, failure: str, names: Sequence[str]) -> None:
        logs = [self.log_path(name) for name in names]
        wait_until(condition, time.monotonic() + timeout_s, lambda: with_logs(failure, logs))

    def _answers(self, name: str) -> bool:
        if tier_of(name) == "redis":
            ports = dict(zip(self.config.redis_names, self.config.redis_ports, strict=True))
            return name not in ports or probes.redis_answers(self.config, ports[name])
        if name == "api":
            return self.is_ready()
        if tier_of(name) == "worker":
            elsewhere = programs.settings_for(self.config, "worker").get(programs.HEARTBEAT)
            return bool(elsewhere) or probes.beats(self.layout.heartbeat(name), self.pid(name))
        shards = {f"shard-{shard.name}": shard for shard in self.config.shards}
        return probes.shard_answers(self.config, shards[name]) if name in shards else True

    def _statuses(self, names: Sequence[str]) -> list[ProcessStatus]:
        found = {status.name: status for status in self._supervisor.statuses()}
        unknown = [name for name in names if name not in found]
        if unknown:
            raise ClusterError(f"no such program: {', '.join(unknown)}; there are {', '.join(found)}")
        return [found[name] for name in names]

    def _program(self, name: str) -> Program:
        for program in self.programs(self.workers()):
            if program.name == name:
                return program
        raise ClusterError(f"no such program: {name}")
