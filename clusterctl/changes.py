"""What changes of a running cluster share: one at a time, written down before it begins, and read by all instances."""

from __future__ import annotations

import time

from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_membership, remember
from clusterctl.membership import Membership, shard_of
from clusterctl.storages import Storages
from localcluster import shard_console
from localcluster.waiting import ClusterError

RELOAD_S = 30.0
_AGAIN_S = 0.2


def under_way(membership: Membership) -> tuple[str, str] | None:
    """The change that has begun and not ended: what it is, and the command that ends it."""
    if membership.joining:
        return f"{membership.joining} is being added", "shard-add"
    if membership.draining:
        return f"{membership.draining} is being drained", f"shard-drain NAME={membership.draining}"
    if membership.replacing:
        return f"{membership.replacing} is being replaced", f"replica-replace NAME={membership.replacing}"
    if membership.coming:
        return f"{membership.coming} is being added", f"replica-add SHARD={shard_of(membership.coming)}"
    return None


def refuse_others(membership: Membership, command: str) -> None:
    """Raise `ClusterError` where a change is under way that `command` does not end."""
    begun = under_way(membership)
    if begun is not None and begun[1] != command:
        raise ClusterError(f"{begun[0]}: end that with make {begun[1]} first")


def refuse_while_away(cluster: ReplicatedCluster) -> None:
    """Raise `ClusterError` where an instance is away, unless one is that the change under way has not started yet."""
    faults = storages(cluster).faults()
    if faults and under_way(cluster.config.membership) is None:
        raise ClusterError("nothing is changed while an instance is away: " + "; ".join(faults))


def storages(cluster: ReplicatedCluster) -> Storages:
    """The replica sets of a cluster."""
    return Storages(
        {
            shard.name: [cluster.console_socket(instance.name) for instance in shard.instances]
            for shard in cluster.config.plan
        }
    )


def written(cluster: ReplicatedCluster, membership: Membership) -> ReplicatedCluster:
    """The cluster with other members, written down."""
    changed = ReplicatedCluster(of_membership(cluster.config, membership))
    changed.announce = cluster.announce
    remember(changed.config)
    return changed


def reload(cluster: ReplicatedCluster, *, all_run: bool = True) -> None:
    """Have every instance read the configuration; unless `all_run`, one whose process does not run is left out: it
    reads it when it starts.

    Raises:
        ClusterError: an instance does not.
    """
    states = {status.name: status.pid for status in cluster.status()}
    for instance in cluster.config.shards:
        if all_run or states.get(f"shard-{instance.name}"):
            _reload(cluster, instance.name)


def _reload(cluster: ReplicatedCluster, instance: str) -> None:
    """One instance, which may be just starting."""
    ends = time.monotonic() + RELOAD_S
    while True:
        try:
            shard_console.run(cluster.console_socket(instance), "require('config'):reload() return true", RELOAD_S)
        except ClusterError:
            if time.monotonic() > ends:
                raise
            time.sleep(_AGAIN_S)
        else:
            return
