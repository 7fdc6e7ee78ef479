"""What the command line does: up, down, status. An expected error is one line on standard error, and exit code 1."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence

from clusterctl import growth, report
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import USUAL_REPLICAS, USUAL_SHARDS, of_machine
from localcluster import dotenv
from localcluster.supervisor import SupervisorDownError
from localcluster.waiting import ClusterError

NOT_RUNNING = "not running (start it with: make cluster-up)"
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        return _run(_parser().parse_args(arguments))
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
    elif options.command in ("shard-add", "shard-drain"):
        config = of_machine(dotenv.REPOSITORY, starts=True)
    else:
        config = of_machine(dotenv.REPOSITORY)
    cluster = ReplicatedCluster(config)
    cluster.announce = _say
    if options.command == "down":
        cluster.stop()
        print("Stopped; the data stays in .cluster/")
        return 0
    if options.command in ("shard-add", "shard-drain"):
        return _grow(cluster, options)
    if options.command == "up":
        _up(cluster)
    print(report.table(cluster))
    ready = cluster.is_ready()
    print(f"{cluster.base_url} is {'ready' if ready else 'NOT ready'}")
    return 0 if ready else 1


def _grow(cluster: ReplicatedCluster, options: argparse.Namespace) -> int:
    stop = threading.Event()
    # The bucket under way is let arrive.
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    if options.command == "shard-add":
        done = growth.add(cluster, stop, _say)
    else:
        done = growth.drain(cluster, options.name, stop, _say)
    if not done:
        _say("stopped; the same command goes on from here")
        return _INTERRUPTED
    config = of_machine(dotenv.REPOSITORY)
    ReplicatedCluster(config).check_map(config.start_timeout_s)
    print(report.table(ReplicatedCluster(config)))
    return 0


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
    parser = argparse.ArgumentParser(prog="python -m clusterctl", description="A cluster of replica sets here.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything")
    up.add_argument("--shards", type=_count, help=f"{USUAL_SHARDS} at the first start")
    up.add_argument("--replicas", type=_count, help=f"instances of each, {USUAL_REPLICAS} at the first start")
    commands.add_parser("status", help="each shard's leader, and what its instances say")
    commands.add_parser("shard-add", help="add a shard, and have it get its share of the buckets")
    drained = commands.add_parser("shard-drain", help="have the other shards get a shard's buckets, and take it out")
    drained.add_argument("name")
    commands.add_parser("down", help="stop everything, keep the data")
    return parser
