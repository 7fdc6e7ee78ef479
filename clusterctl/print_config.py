"""`python -m clusterctl.print_config [SEED]` prints `config.yaml` for the instances that `TARANTKV_SHARDS` names.

For containers, each of which listens on every address of its own at the port of its address: instance `s1-1` is the
first of shard `s1`, and so on. The UUIDs of the instances are made of the seed, `compose` by default. Other settings of
shards come from the environment, too.
"""

from __future__ import annotations

import os
import sys

from clusterctl.config_yaml import document, render
from clusterctl.plan import Instance, ShardPlan, first_buckets
from protocol.settings import ClusterSettings, load_or_exit, parse_shards

_CONSOLE = "/run/tarantkv/console.sock"
_POSITIONS = 8
"""Instances that one shard may come to have, so that each keeps its position whatever is added beside it."""


def main() -> None:
    """Print the configuration, or say in one line which setting is wrong."""
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
