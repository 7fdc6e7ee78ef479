"""supervisord: its configuration, start and XML-RPC interface over a unix socket. Knows no program's purpose."""

import http.client
import os
import re
import shlex
import socket
import subprocess
import sys
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from localcluster import launch
from localcluster.config import TIERS, ClusterConfig
from localcluster.programs import Layout, Program
from protocol.settings import EXIT_CONFIGURATION

ENDED = ("BACKOFF", "EXITED", "FATAL")
"""States of a program whose process ended although nobody stopped it."""

# Each wait is a second longer than the one before: half an hour of tries.
_RETRIES = 60
_RPC_TIMEOUT_S = 60.0


class SupervisorDownError(ConnectionError):
    """Nobody answers at the control socket."""


@dataclass(frozen=True)
class ProcessStatus:
    """One program, as supervisord sees it."""

    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
    pid: int
    """0 when there is no process."""
    uptime_s: int
    detail: str
    """What supervisord says about a failed start."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_RPC_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        # Where the base class looks for what `close` has to close.
        self._connection = host, connection
        return connection


class Supervisor:
    """Handle of one supervisord, running or not; holds no state of its own but where its files lie."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.configuration = layout.run_dir / "supervisord.conf"

    def configure(self, config: ClusterConfig, programs: tuple[Program, ...]) -> None:
        self.configuration.write_text(_render(config, self.layout, programs))

    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", str(self.configuration))

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start supervisord in a session of its own: it outlives the caller unless its spec ties it."""
        argv = launch_command(self.layout.spec("supervisord"))
        with self.layout.log("supervisord-start").open("wb") as output:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def call(self, method: str, *arguments: object) -> Any:
        """One call of supervisord's XML-RPC interface. Raises `xmlrpc.client.Fault` for what it refuses."""
        transport = _UnixTransport(self.layout.socket("supervisord"))
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport, allow_none=True)
        try:
            with proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise SupervisorDownError(f"supervisord does not answer: {error}") from error

    def answers(self) -> bool:
        try:
            self.call("getPID")
        except SupervisorDownError:
            return False
        return True

    def statuses(self) -> list[ProcessStatus]:
        found = cast("list[dict[str, Any]]", self.call("getAllProcessInfo"))
        return [
            ProcessStatus(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                uptime_s=info["now"] - info["start"] if info["pid"] else 0,
                detail=info["spawnerr"],
            )
            for info in found
        ]

    def start_process(self, name: str) -> None:
        """Have it started now, whatever state it is in; does not wait."""
        state = next(status.state for status in self.statuses() if status.name == name)
        if state == "BACKOFF":
            # It would only be started at the end of its wait.
            self.call_tolerantly("stopProcess", name, True)
        self.call_tolerantly("startProcess", name, False)

    def call_tolerantly(self, method: str, *arguments: object) -> None:
        """Call, and take "it is so already" for done."""
        try:
            self.call(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith(("ALREADY_STARTED", "NOT_RUNNING", "SHUTDOWN_STATE")):
                raise

    def last_exit(self, name: str) -> str | None:
        """How the program's last process ended, in supervisord's words; None when none has.

        Only the log tells: the interface forgets the status of a process that ended within its first second.
        """
        log = self.layout.log("supervisord")
        text = log.read_text(errors="replace") if log.exists() else ""
        found: list[str] = re.findall(rf"(?:exited|stopped): {re.escape(name)} \(([^;)]*)", text)
        return found[-1] if found else None

    def reload_groups(self) -> tuple[list[str], list[str]]:
        """Compare the file with what runs: names to add and to remove. Nothing is started or stopped."""
        [[added, _changed, removed]] = self.call("reloadConfig")
        return added, removed


def launch_command(spec: Path) -> list[str]:
    return [sys.executable, "-I", "-S", launch.__file__, str(spec)]


def _render(config: ClusterConfig, layout: Layout, programs: tuple[Program, ...]) -> str:
    def escaped(value: object) -> str:
        return str(value).replace("%", "%%")

    lines = [
        "[supervisord]",
        f"logfile={escaped(layout.log('supervisord'))}",
        f"pidfile={escaped(layout.pid_file('supervisord'))}",
        "logfile_maxbytes=2MB",
        "logfile_backups=1",
        # Root is asked to say that it is meant.
        *(["user=root"] if os.getuid() == 0 else []),
        "[unix_http_server]",
        f"file={escaped(layout.socket('supervisord'))}",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        command = shlex.join(launch_command(layout.spec(program.name)))
        lines += [
            f"[program:{program.name}]",
            f"command={escaped(command)}",
            f"priority={TIERS.index(program.tier)}",
            # Order and readiness are the cluster's business.
            "autostart=false",
            "autorestart=unexpected",
            # A program that finds at work that its settings are wrong stays down: trying again would bury the reason.
            # (One that finds it in its first second is tried again, more and more slowly, whatever it ends with.)
            f"exitcodes={EXIT_CONFIGURATION}",
            f"startretries={_RETRIES}",
            f"stopwaitsecs={config.stop_timeout_s:.0f}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={escaped(layout.log(program.name))}",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=2",
        ]
    return "\n".join(lines) + "\n"
