"""What all changes of a running cluster's members share: they run one at a time, each is written down before it
begins, and then every instance reads the new configuration.
"""

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
    """The change that has begun and not ended: its description, and the make target that finishes it."""
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
    """Raise `ClusterError` if a change is under way that `command` does not finish."""
    begun = under_way(membership)
    if begun is not None and begun[1] != command:
        raise ClusterError(f"{begun[0]}: finish that with make {begun[1]} first")


def refuse_while_away(cluster: ReplicatedCluster) -> None:
    """Raise `ClusterError` if an instance is down.

    While a change is under way this does not raise: the change may not have started its new instances yet.
    """
    faults = storages(cluster).faults()
    if faults and under_way(cluster.config.membership) is None:
        raise ClusterError("the cluster cannot be changed while an instance is down: " + "; ".join(faults))


def storages(cluster: ReplicatedCluster) -> Storages:
    """The replica sets of a cluster."""
    return Storages(
        {
            shard.name: [cluster.console_socket(instance.name) for instance in shard.instances]
            for shard in cluster.config.plan
        }
    )


def written(cluster: ReplicatedCluster, membership: Membership) -> ReplicatedCluster:
    """Write down other members; returns the cluster with them."""
    changed = ReplicatedCluster(of_membership(cluster.config, membership))
    changed.announce = cluster.announce
    remember(changed.config)
    return changed


def reload(cluster: ReplicatedCluster, *, all_run: bool = True) -> None:
    """Make every instance read the configuration again.

    Unless `all_run`, instances whose process does not run are left out: they read it when they start.

    Raises:
        ClusterError: an instance does not do so within `RELOAD_S`.
    """
    states = {status.name: status.pid for status in cluster.status()}
    for instance in cluster.config.shards:
        if all_run or states.get(f"shard-{instance.name}"):
            _reload(cluster, instance.name)


def _reload(cluster: ReplicatedCluster, instance: str) -> None:
    """Make one instance read the configuration; it may still be starting, so this tries again for `RELOAD_S`."""
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
