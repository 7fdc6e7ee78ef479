"""The command line: `python -m localcluster up|down|status|logs|scale|wait|env|exec|clean`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from localcluster import dotenv, report
from localcluster.cluster import Cluster, ClusterError
from localcluster.config import for_machine
from localcluster.supervisor import SupervisorDownError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command == "env":
        added = dotenv.ensure(dotenv.REPOSITORY / ".env")
        print(f".env: {'wrote ' + ', '.join(added) if added else 'complete, nothing changed'}")
        return 0
    try:
        return _run(options, Cluster(for_machine(dotenv.REPOSITORY)))
    except SupervisorDownError:
        print("not running (start it with: make up)", file=sys.stderr)
    except (ClusterError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


def _run(options: argparse.Namespace, cluster: Cluster) -> int:
    match options.command:
        case "up":
            _up(cluster)
        case "down":
            cluster.stop()
            print("Stopped; the data stays in .data/")
        case "status":
            return _status(cluster)
        case "logs":
            _logs(cluster, options.names, follow=options.follow)
        case "scale":
            cluster.scale_workers(options.workers)
            print(report.table(cluster))
        case "wait":
            cluster.wait_running(timeout_s=options.timeout)
            cluster.wait_ready(timeout_s=options.timeout)
        case "exec":
            _exec(cluster, options.argv)
        case "clean":
            cluster.wipe()
            print("Stopped and removed .data/; .env stays")
    return 0


def _status(cluster: Cluster) -> int:
    print(report.table(cluster))
    ready = cluster.is_ready()
    print(f"{cluster.base_url} is {'ready' if ready else 'NOT ready'}")
    return 0 if ready else 1


def _up(cluster: Cluster) -> None:
    if cluster.is_healthy():
        print("Already running; nothing was changed.")
        outdated = cluster.outdated()
        if outdated:
            print(
                f"Settings have changed since the start of {', '.join(outdated)}: make down && make up takes them over."
            )
    else:
        print("Starting Redis, shards, workers and the api ...", flush=True)
        started = time.monotonic()
        cluster.start()
        print(f"Running after {time.monotonic() - started:.1f} s.")
    print(report.welcome(cluster))


def _logs(cluster: Cluster, names: list[str], *, follow: bool) -> NoReturn:
    if not names:
        names = sorted(path.stem for path in cluster.layout.log_dir.glob("*.log"))
    paths = [str(cluster.log_path(name)) for name in names if cluster.log_path(name).exists()]
    if not paths:
        sys.exit("no logs yet")
    # tail does this better than we could, and Ctrl-C reaches it directly.
    os.execvp("tail", ["tail", "-n", "20", *(["-F"] if follow else []), *paths])  # noqa: S606, S607


def _exec(cluster: Cluster, argv: list[str]) -> NoReturn:
    os.chdir(dotenv.REPOSITORY)
    command = [sys.executable, *argv]
    os.execve(command[0], command, {**os.environ, **cluster.settings})  # noqa: S606  it replaces this process


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcluster", description="The whole system on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start everything and say how to reach it")
    commands.add_parser("down", help="stop everything, keep the data")
    commands.add_parser("status", help="what runs")
    logs = commands.add_parser("logs", help="the last lines of the logs")
    logs.add_argument("names", nargs="*", help="programs, as `status` names them; all of them by default")
    logs.add_argument("-f", "--follow", action="store_true")
    scale = commands.add_parser("scale", help="change the number of workers")
    scale.add_argument("workers", type=int)
    wait = commands.add_parser("wait", help="wait until everything runs and answers")
    wait.add_argument("--timeout", type=float, default=60.0)
    commands.add_parser("env", help="write .env where it is missing or incomplete")
    execute = commands.add_parser("exec", help="run Python with the settings of the api: exec -- -m api.manage list")
    execute.add_argument("argv", nargs="+")
    commands.add_parser("clean", help="stop everything and remove the data")
    return parser


if __name__ == "__main__":
    sys.exit(main())
