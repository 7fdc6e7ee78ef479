"""supervisord: its configuration, start and XML-RPC interface over a unix socket. It does not know the programs'
tasks.
"""

import http.client
import os
import re
import socket
import struct
import subprocess
import sys
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.parsers.expat import ExpatError

from localcluster import launch, leftovers
from localcluster.config import TIERS, ClusterConfig
from localcluster.errors import ClusterError, SupervisorDownError
from localcluster.layout import Layout
from localcluster.programs import Program
from protocol.settings import EXIT_CONFIGURATION

__all__ = [
    "ENDED",
    "STAYS_DOWN",
    "ProcessStatus",
    "Supervisor",
    "SupervisorDownError",
    "launch_command",
]

ENDED = ("BACKOFF", "EXITED", "FATAL")
"""The states of a program whose process ended although it was not stopped."""

STAYS_DOWN = "FATAL"
"""The state of a program that was tried too often."""

# supervisord and its programs run in the data directory, whatever its name.
_RUN = "/proc/self/cwd/run"
_LOGS = "/proc/self/cwd/logs"

# Each wait is a second longer than the one before: half an hour of attempts.
_RETRIES = 60
_RPC_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class ProcessStatus:
    """One program, as supervisord sees it."""

    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
    pid: int
    """0 if there is no process."""
    uptime_s: int
    detail: str
    """What supervisord reports about a failed start."""


class _Connection(http.client.HTTPConnection):
    """Connects to a socket in the run directory, and only to a supervisord of that directory."""

    def __init__(self, layout: Layout) -> None:
        super().__init__("localhost", timeout=_RPC_TIMEOUT_S)
        self._layout = layout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        path = self._layout.socket("supervisord")
        # Through a descriptor, because a socket's own path must fit into 108 bytes.
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{directory}/{path.name}")
        finally:
            os.close(directory)
        credentials = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = int(struct.unpack("3i", credentials)[0])
        # A process in another container has no id here; but then only our own directory leads to this socket.
        if pid and not leftovers.belongs(pid, self._layout):
            raise ConnectionRefusedError(f"process {pid} supervises another directory")


class _Transport(xmlrpc.client.Transport):
    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout
        self._open: http.client.HTTPConnection | None = None

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002  there is one it can be
        self._open = _Connection(self._layout)
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


class Supervisor:
    """Controls one supervisord, running or not; its only state is the place of the files."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.configuration = layout.run_dir / "supervisord.conf"

    def configure(self, config: ClusterConfig, programs: tuple[Program, ...]) -> None:
        self.configuration.write_text(_render(config, programs))

    def command(self) -> tuple[str, ...]:
        """The command, to be run in the data directory."""
        configuration = f"{_RUN}/{self.configuration.name}"
        return (sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", configuration)

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start supervisord in a session of its own: it outlives the caller, unless its spec ties it to the caller."""
        argv = launch_command(self.layout.spec("supervisord"))
        with self.layout.log("supervisord-start").open("wb") as output:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def call(self, method: str, *arguments: object) -> Any:
        """One call of supervisord's XML-RPC interface.

        Raises `SupervisorDownError`, even if it is ending, and `ClusterError` if it refuses the call.
        """
        try:
            return self._ask(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultString.startswith("SHUTDOWN_STATE"):
                raise SupervisorDownError("supervisord is about to end") from None
            raise ClusterError(f"supervisord refuses {method}: {fault.faultString}") from None

    def _ask(self, method: str, *arguments: object) -> Any:
        transport = _Transport(self.layout)
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport, allow_none=True)
        try:
            with proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError, ExpatError) as error:
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
        """Start the program now, whatever its state; does not wait."""
        state = next(status.state for status in self.statuses() if status.name == name)
        if state == "BACKOFF":
            # Otherwise it would only be started at the end of its wait.
            self.call_tolerantly("stopProcess", name, True)
        self.call_tolerantly("startProcess", name, False)

    def call_tolerantly(self, method: str, *arguments: object) -> None:
        """Call, and count "it is so already" as success."""
        try:
            self._ask(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith(("ALREADY_STARTED", "NOT_RUNNING", "SHUTDOWN_STATE")):
                raise ClusterError(f"supervisord refuses {method}: {fault.faultString}") from None

    def last_exit(self, name: str) -> str | None:
        """How the program's last process ended, in supervisord's words; None if none has ended.

        Only the log has this: the interface forgets the status of a process that ended within its first second.
        """
        log = self.layout.log("supervisord")
        text = log.read_text(errors="replace") if log.exists() else ""
        found: list[str] = re.findall(rf"(?:exited|stopped): {re.escape(name)} \(([^;)]*)", text)
        return found[-1] if found else None

    def found_wrong_settings(self, name: str) -> bool:
        """Whether the program's last process ended because of its settings: then it is not started again."""
        return self.last_exit(name) == f"exit status {EXIT_CONFIGURATION}"

    def reload_groups(self) -> tuple[list[str], list[str]]:
        """Compare the file with what runs; returns the names to add and to remove. Nothing is started or stopped."""
        [[added, _changed, removed]] = self.call("reloadConfig")
        return added, removed


def launch_command(spec: Path) -> list[str]:
    """The command that starts a program as its spec file says."""
    return [sys.executable, "-I", "-S", "-X", "utf8", launch.__file__, str(spec)]


def _render(config: ClusterConfig, programs: tuple[Program, ...]) -> str:
    """The configuration. It contains no path of this machine, because any character of one could be syntax."""
    lines = [
        "[supervisord]",
        f"logfile={_LOGS}/supervisord.log",
        # It requires one, but nothing reads the file.
        f"pidfile={_RUN}/supervisord.pid",
        "logfile_maxbytes=2MB",
        "logfile_backups=1",
        # supervisord requires this line to run as root.
        *(["user=root"] if os.getuid() == 0 else []),
        "[unix_http_server]",
        f"file={_RUN}/supervisord.sock",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        lines += [
            f"[program:{program.name}]",
            f"command={_RUN}/python -I -S -X utf8 {_RUN}/launch.py {_RUN}/{program.name}.json",
            f"priority={TIERS.index(program.tier)}",
            # `Cluster` decides about order and readiness.
            "autostart=false",
            "autorestart=unexpected",
            # If a program finds while it runs that its settings are wrong, it stays down: restarts would hide the
            # reason. (If it ends in its first second, it is restarted after longer and longer waits, whatever its exit
            # code.)
            f"exitcodes={EXIT_CONFIGURATION}",
            f"startretries={_RETRIES}",
            f"stopwaitsecs={config.stop_timeout_s:.0f}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_LOGS}/{program.name}.log",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=2",
        ]
    return "\n".join(lines) + "\n"
