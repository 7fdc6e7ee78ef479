"""`python -m clusterctl.print_config [SEED]` prints `config.yaml` for the instances that `TARANTKV_SHARDS` names.

This is for containers. Instance `s1-1` is the first one that `TARANTKV_SHARDS` names for shard `s1`, and so on. Each
listens on all interfaces, at the port that is named for it. The UUIDs of the instances are made of SEED, `compose` by
default. The other settings of shards come from the environment, too.
"""

from __future__ import annotations

import os
import sys

from clusterctl.config_yaml import document, render
from clusterctl.plan import Instance, ShardPlan, first_buckets
from protocol.settings import ClusterSettings, load_or_exit, parse_shards

_CONSOLE = "/run/tarantkv/console.sock"
_POSITIONS = 8
"""Positions set aside for each shard, so that each instance keeps its position when others are added."""


def main() -> None:
    """Print the configuration, or report in one line which setting is wrong."""
    (seed,) = sys.argv[1:] or ["compose"]
    cluster = load_or_exit(ClusterSettings)
    named = parse_shards(cluster.shards)
    shards = [
        ShardPlan(
            name,
            tuple(
                Instance(f"{name}-{replica}", f"{host}:{port}", _POSITIONS * (number - 1) + replica, f"0.0.0.0:{port}")
                for replica, (host, port) in enumerate(instances, start=1)
            ),
            first_buckets(number, len(named), cluster.bucket_count),
        )
        for number, (name, instances) in enumerate(named.items(), start=1)
    ]
    sys.stdout.write(render(document(shards, os.environ, seed=seed, console=_CONSOLE)))


if __name__ == "__main__":
    main()
