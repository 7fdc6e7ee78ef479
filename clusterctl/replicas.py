"""Adds an instance to a shard that serves, and puts one in the place of an instance that is lost.

The new one starts from a copy, under a name, a UUID and a position that no other ever had. The lost one is taken out
before that, so that it counts no longer when most must have a change; one that still runs is taken out last. What is
under way stands in the plan, so that the same command, made again after any interruption, goes on with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from clusterctl.changes import refuse_others, refuse_while_away, reload, storages, written
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_membership
from clusterctl.copies import seed
from clusterctl.membership import Membership, shard_of
from clusterctl.storages import Members, StorageError
from localcluster.waiting import ClusterError, wait_until

JOIN_S = 600.0
"""How long a new instance may take to read its copy, and what has come since."""

SETTLE_S = 60.0
"""How long a shard may take to elect a leader, and to take an instance out."""

Say = Callable[[str], None]


def add(cluster: ReplicatedCluster, shard: str, say: Say) -> ReplicatedCluster:
    """Add an instance to a shard, and wait until it follows. Returns the cluster with it.

    Raises:
        ClusterError: it could not be done; the text says what to do.
    """
    membership = cluster.config.membership
    refuse_others(membership, f"replica-add SHARD={shard}")
    _refuse_unknown("shard", shard, membership.names())
    if not membership.coming:
        refuse_while_away(cluster)
        membership = membership.with_instance(shard)
        say(f"Adding {membership.coming} to {shard} ...")
    _join(written(cluster, membership), say)
    return written(cluster, replace(membership, coming=""))


def replace_lost(cluster: ReplicatedCluster, name: str, say: Say) -> ReplicatedCluster:
    """Put a new instance in the place of one that is lost, or that is to leave its machine. Its data stays on disk.
    Returns the cluster as it is then.

    Raises:
        ClusterError: too few instances of its shard run, or it could not be done; the text says what to do.
    """
    membership = cluster.config.membership
    refuse_others(membership, f"replica-replace NAME={name}")
    shard = shard_of(name)
    if not membership.replacing:
        _refuse_unknown("instance", name, [each.name for each in cluster.config.shards])
        runs = name in _members_without(cluster, shard, name).alive
        membership = replace(membership.with_instance(shard), replacing=name)
        say(f"Putting {membership.coming} in the place of {name}, which {'runs' if runs else 'is away'} ...")
    cluster = written(cluster, membership)
    if name not in membership.lost:
        if name in _members_without(cluster, shard, name).alive:
            _join(cluster, say)
        else:
            # Who is coming is not named yet: it would be one more of whom most must answer.
            _take_out(cluster, membership.without(name).without(membership.coming), name)
        membership = membership.without(name)
        cluster = written(cluster, membership)
    _join(cluster, say)
    _wait_out(cluster, name)
    say(f"{name} is no instance of {shard} any more; its data stays where it is")
    return written(cluster, replace(membership, coming="", replacing=""))


def _refuse_unknown(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ClusterError(f"there is no {what} {name}, there are {', '.join(known)}")


def _members_without(cluster: ReplicatedCluster, shard: str, name: str) -> Members:
    """The instances of a shard; raises `ClusterError` where those that run are too few without `name`."""
    try:
        members = storages(cluster).members(shard)
    except StorageError as error:
        raise ClusterError(
            f"{error}: nobody can be taken out before most of its instances run; bring one back, or restore a backup"
        ) from None
    left = members.registered - {name}
    running = sorted(members.alive & left)
    needed = len(left) // 2 + 1
    if len(running) < needed:
        raise ClusterError(
            f"without {name} {needed} of the other instances of {shard} must run: of {', '.join(sorted(left))} only "
            f"{', '.join(running)} {'do' if len(running) > 1 else 'does'}; add one first with make replica-add"
        )
    return members


def _take_out(cluster: ReplicatedCluster, membership: Membership, name: str) -> None:
    """End an instance that is not of `membership`, and have its shard count it no longer."""
    left = ReplicatedCluster(of_membership(cluster.config, membership))
    left.announce = cluster.announce
    left.supervise()
    reload(left, all_run=False)
    _wait_out(left, name)


def _wait_out(cluster: ReplicatedCluster, name: str) -> None:
    """Until the leader of its shard does not count an instance, which is not of the configuration."""
    shard = shard_of(name)

    def is_out() -> bool:
        try:
            return name not in storages(cluster).members(shard).registered
        except StorageError:
            return False

    failure = f"{shard} has no leader, or still counts {name}; run this again"
    wait_until(is_out, time.monotonic() + SETTLE_S, lambda: failure)


def _join(cluster: ReplicatedCluster, say: Say) -> None:
    """Have the instance that is coming follow its shard's leader."""
    name = cluster.config.membership.coming
    shard = shard_of(name)
    cluster.write_configuration()
    reload(cluster, all_run=False)
    if name in cluster.empty():
        try:
            seed(cluster, name, say)
        except StorageError as error:
            raise ClusterError(f"{error}; run this again") from None
    cluster.supervise()

    def follows() -> bool:
        try:
            # Or it leads already: where the leader was taken out, it may be the one that was elected.
            return name in storages(cluster).members(shard).alive
        except StorageError:
            return False

    wait_until(follows, time.monotonic() + JOIN_S, lambda: f"{name} does not follow the leader of {shard}")
