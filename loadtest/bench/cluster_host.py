"""Runs a cluster as `make up` would, from a given source tree, until its standard input closes.

This is a script of its own so that it imports and starts the packages of that tree, not those of the benchmark.
Arguments: the tree, a directory for the data, and the instances of a shard: 0 for `make up`, else as `make cluster-up`
makes them, with as many shards as `make up` has. It prints one JSON object when the cluster is ready. Settings come
from the environment, as for `make up`. Ports are random, and the cluster ends with this process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localcluster.cluster import Cluster
    from localcluster.config import ClusterConfig


def main() -> None:
    tree, data_dir, replicas = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), int(sys.argv[3])
    # It replaces this script's directory, whose modules would hide others with the same name.
    sys.path[0] = str(tree)
    os.chdir(tree)

    from api.__main__ import process_count
    from localcluster.cluster import Cluster
    from localcluster.config import Shard, for_machine
    from localcluster.ports import free_ports

    data_dir.mkdir(parents=True, exist_ok=True)
    usual = for_machine(data_dir)
    redis_port, api_port, *shard_ports = free_ports(2 + len(usual.shards))
    config = dataclasses.replace(
        usual,
        data_dir=data_dir / "cluster",
        redis_ports=(redis_port,),
        api_port=api_port,
        shards=tuple(Shard(shard.name, port) for shard, port in zip(usual.shards, shard_ports, strict=True)),
        owned=True,
    )
    cluster = replicated(config, replicas) if replicas else Cluster(config)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        cluster.start()
        description = {
            "base_url": cluster.base_url,
            "user": cluster.admin_user,
            "password": cluster.admin_password,
            "settings": dict(cluster.settings),
            "programs": {status.name: status.pid for status in cluster.status()},
            "http_processes": process_count(int(cluster.settings.get("TARANTKV_API_PROCESSES", "0"))),
        }
        print(json.dumps(description), flush=True)
        sys.stdin.read()
    finally:
        cluster.stop()


def replicated(config: ClusterConfig, replicas: int) -> Cluster:
    """The same configuration with replica sets instead of single shards."""
    from clusterctl.cluster import ReplicatedCluster
    from clusterctl.config import with_replicas
    from clusterctl.engine import find

    return ReplicatedCluster(with_replicas(config, len(config.shards), replicas, find(os.environ)))


if __name__ == "__main__":
    main()
