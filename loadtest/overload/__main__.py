"""`python -m loadtest.overload`: puts several times its capacity as load on the running local cluster.

It measures the capacity closed-loop. It offers half of the capacity open-loop, to find the usual latency, then
`--factor` times the capacity, then half again, to see when the latency is as usual. At the end it measures the capacity
once more.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from loadtest.bench.wrk import login
from loadtest.overload import phases
from loadtest.overload.generator import Orders
from loadtest.overload.report import Result, promises, render
from localcluster.cluster import Cluster
from localcluster.config import for_machine
from localcluster.dotenv import REPOSITORY

CAPACITY_S = 12.0
USUAL_S = 6.0
AFTER_S = 10.0


def main() -> int:
    """Run all phases and print the report; the exit code is 0 if every promise was kept."""
    options = _options()
    cluster = Cluster(for_machine(REPOSITORY))
    result = measure(cluster, options)
    print(render(result))
    if options.out:
        Path(options.out).write_bytes(msgspec.json.encode(result))
    return 0 if all(kept for _, _, kept in promises(result)) else 1


def measure(cluster: Cluster, options: argparse.Namespace) -> Result:
    """Run all phases."""
    address = urlsplit(cluster.base_url)
    orders = Orders(
        host=address.hostname or "",
        port=address.port or 80,
        token=login(cluster.base_url, cluster.admin_user, cluster.admin_password),
        operation=options.operation,
        batch=options.batch,
        value_bytes=options.value_bytes,
        seconds=CAPACITY_S,
        rate=0.0,
        connections=options.clients,
        start_at=0.0,
        idle=True,
    )
    pids: dict[str, list[int]] = defaultdict(list)
    for status in cluster.status():
        pids[status.name if options.each else status.name.partition("-")[0]].append(status.pid)

    def phase(**changes: float) -> phases.Phase:
        return phases.run(msgspec.structs.replace(orders, **changes), options.generators, dict(pids))

    phase(seconds=3.0)
    capacity = phase()
    usual = phase(seconds=USUAL_S, rate=capacity.rate / 2, connections=options.connections)
    overload = phase(seconds=options.minutes * 60, rate=capacity.rate * options.factor, connections=options.connections)
    after = phase(seconds=AFTER_S, rate=capacity.rate / 2, connections=options.connections)
    return Result(
        batch=options.batch,
        operation=options.operation,
        factor=options.factor,
        capacity=capacity,
        usual=usual,
        overload=overload,
        after=after,
        capacity_after=phase(),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.overload")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--factor", type=float, default=3.0)
    parser.add_argument("--batch", type=int, default=100, help="keys in a request")
    parser.add_argument("--operation", choices=("write", "read", "mixed"), default="mixed")
    parser.add_argument("--value-bytes", type=int, default=64)
    parser.add_argument("--clients", type=int, default=64, help="connections with which capacity is measured")
    parser.add_argument("--connections", type=int, default=6000, help="connections of the open-loop phases")
    parser.add_argument("--generators", type=int, default=2, help="generator processes")
    parser.add_argument("--each", action="store_true", help="report the CPU time of each process instead of each tier")
    parser.add_argument("--out", help="write all results to this file as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
