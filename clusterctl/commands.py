"""The commands: up, down, status, backup, restore, exec, and changes of a running cluster's members.

An expected error is reported as one line on standard error, with exit code 1.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from clusterctl import backup, growth, replicas, report
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import USUAL_REPLICAS, USUAL_SHARDS, of_machine
from localcluster import dotenv
from localcluster.commands import execute
from localcluster.supervisor import SupervisorDownError
from localcluster.waiting import ClusterError
from protocol.stopping import Stop

_CHANGES = ("shard-add", "shard-drain", "replica-add", "replica-replace")

NOT_RUNNING = "not running (start it with: make cluster-up)"
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["exec"]:
            execute(ReplicatedCluster(of_machine(dotenv.REPOSITORY)), words[1:])
        return _run(_parser().parse_args(words))
    except SupervisorDownError:
        _say(NOT_RUNNING)
    except (ClusterError, ValueError) as error:
        _say("error: " + str(error).partition("\n")[0])
    except OSError as error:
        _say(f"error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    return 1


def _run(options: argparse.Namespace) -> int:
    if options.command == "up":
        config = of_machine(dotenv.REPOSITORY, options.shards, options.replicas, starts=True)
    elif options.command in _CHANGES:
        config = of_machine(dotenv.REPOSITORY, starts=True)
    else:
        config = of_machine(dotenv.REPOSITORY)
    cluster = ReplicatedCluster(config)
    cluster.announce = _say
    if options.command == "down":
        cluster.stop()
        print("Stopped; the data stays in .cluster/")
        return 0
    if options.command in ("backup", "restore"):
        return _keep(cluster, options)
    if options.command in _CHANGES:
        return _change(cluster, options)
    if options.command == "up":
        _up(cluster)
    print(report.table(cluster))
    ready = cluster.is_ready()
    print(f"{cluster.base_url} is {'ready' if ready else 'NOT ready'}")
    return 0 if ready else 1


def _change(cluster: ReplicatedCluster, options: argparse.Namespace) -> int:
    if options.command == "replica-add":
        replicas.add(cluster, options.shard, _say)
    elif options.command == "replica-replace":
        replicas.replace_lost(cluster, options.name, _say)
    elif not _move_buckets(cluster, options):
        _say("stopped; run the same command to continue")
        return _INTERRUPTED
    config = of_machine(dotenv.REPOSITORY)
    ReplicatedCluster(config).check_map(config.start_timeout_s)
    print(report.table(ReplicatedCluster(config)))
    return 0


def _keep(cluster: ReplicatedCluster, options: argparse.Namespace) -> int:
    """Make or restore a backup; returns the exit code."""
    if options.command == "restore":
        size = backup.restore(cluster, Path(options.directory), _say)
        print(f"Restored {size / 2**20:.1f} MiB into {cluster.config.data_dir}; make cluster-up starts from it.")
        return 0
    if not cluster.is_running():
        raise SupervisorDownError
    named = options.directory or dotenv.REPOSITORY / ".backups" / time.strftime("cluster-%Y-%m-%dT%H-%M-%S")
    size = backup.backup(cluster, Path(named), _say)
    print(f"{named} has {size / 2**20:.1f} MiB. Keep .env with it: the backup does not hold its secrets.")
    return 0


def _move_buckets(cluster: ReplicatedCluster, options: argparse.Namespace) -> bool:
    stop = Stop()
    # Ctrl-C ends the run after the bucket that is moving has arrived.
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    if options.command == "shard-add":
        return growth.add(cluster, stop, _say)
    return growth.drain(cluster, options.name, stop, _say)


def _up(cluster: ReplicatedCluster) -> None:
    if cluster.is_healthy():
        print("Already running; nothing was changed.")
        return
    shards, replicas = len(cluster.config.plan), len(cluster.config.plan[0].instances)
    print(f"Starting {shards} shards of {replicas} instances, Redis, workers and the api ...", flush=True)
    started = time.monotonic()
    cluster.start()
    print(f"Running after {time.monotonic() - started:.1f} s.")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clusterctl", description="Runs a cluster of replica sets here.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything")
    up.add_argument("--shards", type=_count, help=f"number of shards; {USUAL_SHARDS} by default, at the first start")
    up.add_argument("--replicas", type=_count, help=f"instances of each shard; {USUAL_REPLICAS} by default")
    commands.add_parser("status", help="print each shard's leader and the state of its instances")
    commands.add_parser("shard-add", help="add a shard, and move its share of the buckets to it")
    drained = commands.add_parser("shard-drain", help="move a shard's buckets to the other shards, then remove it")
    drained.add_argument("name")
    added = commands.add_parser("replica-add", help="add an instance to a shard")
    added.add_argument("shard")
    replaced = commands.add_parser("replica-replace", help="replace an instance that is lost by a new one")
    replaced.add_argument("name")
    making = commands.add_parser("backup", help="copy the data of every shard while it runs")
    making.add_argument("directory", nargs="?", help="a new directory; by default one in .backups/")
    restoring = commands.add_parser("restore", help="restore a backup to a cluster that has no data yet")
    restoring.add_argument("directory")
    commands.add_parser("exec", help="run Python with the settings of the api: exec -- -m api.manage list")
    commands.add_parser("down", help="stop everything, keep the data")
    return parser
