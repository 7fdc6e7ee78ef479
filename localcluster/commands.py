"""The commands: up, down, status, logs, scale, wait, credentials, exec, backup, restore, clean.

An expected error is one line on standard error, and exit code 1; Ctrl-C ends with 130.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from localcluster import backup, dotenv, files, report
from localcluster.cluster import Cluster, ClusterError
from localcluster.config import for_machine, overridden, worker_count
from localcluster.supervisor import SupervisorDownError

NOT_RUNNING = "not running (start it with: make up)"
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A wrong argument gives one line: the command is behind a target of make."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except SupervisorDownError:
        _say(NOT_RUNNING)
    except (ClusterError, ValueError) as error:
        # The lines after the first are the program's log, which `make logs` shows completely.
        _say("error: " + str(error).partition("\n")[0])
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _say(f"error: {error.strerror or error}{where}")
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    return 1


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["exec"]:
        execute(_cluster(), arguments[1:])
    options = _parser().parse_args(arguments)
    cluster = _cluster()
    match options.command:
        case "up":
            _up(cluster)
        case "down" | "clean":
            _stop(cluster, clean=options.command == "clean")
        case "status":
            return _status(cluster)
        case "logs":
            _logs(cluster, options.names, follow=options.follow)
        case "scale":
            cluster.scale_workers(worker_count(options.workers))
            print(report.table(cluster))
        case "wait":
            cluster.wait_running(timeout_s=options.timeout)
            cluster.wait_ready(timeout_s=options.timeout)
        case "credentials":
            print(json.dumps({"username": cluster.admin_user, "password": cluster.admin_password}))
        case "backup" | "restore":
            _keep(cluster, options.command, options.directory)
    return 0


def _cluster() -> Cluster:
    cluster = Cluster(for_machine(dotenv.REPOSITORY))
    cluster.announce = _say
    return cluster


def _stop(cluster: Cluster, *, clean: bool) -> None:
    if clean:
        cluster.wipe()
        print("Stopped and removed .data/; .env stays")
    else:
        cluster.stop()
        print("Stopped; the data stays in .data/")


def _status(cluster: Cluster) -> int:
    print(report.table(cluster))
    ready = cluster.is_ready()
    print(f"{cluster.base_url} is {'ready' if ready else 'NOT ready'}")
    return 0 if ready else 1


def _up(cluster: Cluster) -> None:
    other = overridden(dotenv.REPOSITORY)
    if other:
        print(f"From the environment, not from .env: {', '.join(other)}")
    outdated = cluster.outdated() if cluster.is_running() else []
    changed = f"Settings have changed since the start of {', '.join(outdated)}: make down && make up takes them over."
    if cluster.is_healthy():
        print("Already running; nothing was changed.")
        if outdated:
            print(changed)
    elif outdated:
        # Otherwise the running programs would be asked at the new addresses.
        raise ClusterError(changed)
    else:
        print("Starting Redis, shards, workers and the api ...", flush=True)
        started = time.monotonic()
        cluster.start()
        print(f"Running after {time.monotonic() - started:.1f} s.")
    print(report.welcome(cluster))


def _keep(cluster: Cluster, command: str, directory: str | None) -> None:
    """Back up, or restore a backup."""
    if command == "restore" and directory:
        size = backup.restore(cluster, Path(directory), _say)
        print(f"Restored {size / 2**20:.1f} MiB into {cluster.config.data_dir}; make up starts from it.")
        return
    if not cluster.is_running():
        raise SupervisorDownError
    target = Path(directory) if directory else dotenv.REPOSITORY / ".backups" / time.strftime("%Y-%m-%dT%H-%M-%S")
    size = backup.backup(cluster, target, _say)
    print(f"{target} has {size / 2**20:.1f} MiB. Keep .env with it: the backup does not hold its secrets.")


def _logs(cluster: Cluster, names: list[str], *, follow: bool) -> NoReturn:
    known = files.known(cluster.layout)
    unknown = [name for name in names if not cluster.log_path(name).exists()]
    if unknown and known:
        raise ClusterError(f"no log of {', '.join(unknown)}; there are {', '.join(known)}")
    paths = [str(cluster.log_path(name)) for name in names or known if cluster.log_path(name).exists()]
    if not paths:
        raise ClusterError("no logs yet (make up writes them)")
    # tail does this better than we could, and Ctrl-C reaches it directly.
    os.execvp("tail", ["tail", "-n", "20", *(["-F"] if follow else []), *paths])  # noqa: S606, S607


def execute(cluster: Cluster, argv: list[str]) -> NoReturn:
    """Replace this process by a Python program that has the settings of the api. Raises `SupervisorDownError`."""
    if not cluster.is_running():
        raise SupervisorDownError
    # The rest is another program's command line, which is not parsed.
    argv = argv[1:] if argv[:1] == ["--"] else argv
    os.chdir(dotenv.REPOSITORY)
    command = [sys.executable, *argv]
    os.execve(command[0], command, {**os.environ, **cluster.settings})  # noqa: S606  it replaces this process


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m localcluster", description="Runs the whole system on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start everything and print its address")
    commands.add_parser("down", help="stop everything, keep the data")
    commands.add_parser("status", help="show the state of each process")
    logs = commands.add_parser("logs", help="print the last lines of the logs")
    logs.add_argument("names", nargs="*", help="programs, as `status` names them; all of them by default")
    logs.add_argument("-f", "--follow", action="store_true")
    scale = commands.add_parser("scale", help="change the number of workers")
    scale.add_argument("workers")
    wait = commands.add_parser("wait", help="wait until everything runs and answers")
    wait.add_argument("--timeout", type=float, default=60.0)
    commands.add_parser("credentials", help="print the administrator's login as JSON, for a pipe into curl")
    commands.add_parser("exec", help="run Python with the settings of the api: exec -- -m api.manage list")
    making = commands.add_parser("backup", help="copy the data of every shard while it runs")
    making.add_argument("directory", nargs="?", help="a new directory; by default one in .backups/")
    restoring = commands.add_parser("restore", help="restore a backup to a system that has no data yet")
    restoring.add_argument("directory")
    commands.add_parser("clean", help="stop everything and remove the data")
    return parser
