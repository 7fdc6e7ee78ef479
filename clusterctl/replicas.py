"""Adds an instance to a running shard, or replaces one by a new one.

The new instance starts from a copy of the data, with a new name, UUID and position. If the old instance is down, it is
removed first, so that it no longer counts for the quorum of a change. If it still runs, it is removed last. The
membership records the change until it is done. After an interruption, the same command continues it.
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
"""How long a new instance may take to load its copy and to receive the changes made since."""

SETTLE_S = 60.0
"""How long a shard may take to elect a leader and to expel an instance."""

Say = Callable[[str], None]


def add(cluster: ReplicatedCluster, shard: str, say: Say) -> ReplicatedCluster:
    """Add an instance to a shard, and wait until it follows the leader. Returns the cluster with it.

    Raises:
        ClusterError: the change has failed; the text says what to do.
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
    """Replace an instance, lost or still running, by a new one. Returns the cluster after that.

    The data of the old instance stays on disk.

    Raises:
        ClusterError: too few instances of its shard run, or the change has failed; the text says what to do.
    """
    membership = cluster.config.membership
    refuse_others(membership, f"replica-replace NAME={name}")
    shard = shard_of(name)
    if not membership.replacing:
        _refuse_unknown("instance", name, [each.name for each in cluster.config.shards])
        runs = name in _members_without(cluster, shard, name).alive
        membership = replace(membership.with_instance(shard), replacing=name)
        say(f"Replacing {name}, which {'runs' if runs else 'is down'}, by {membership.coming} ...")
    cluster = written(cluster, membership)
    if name not in membership.lost:
        if name in _members_without(cluster, shard, name).alive:
            _join(cluster, say)
        else:
            # The new instance is left out of this configuration: it would raise the quorum before it can answer.
            _take_out(cluster, membership.without(name).without(membership.coming), name)
        membership = membership.without(name)
        cluster = written(cluster, membership)
    _join(cluster, say)
    _wait_out(cluster, name)
    say(f"{name} was removed from {shard}; its data stays on disk")
    return written(cluster, replace(membership, coming="", replacing=""))


def _refuse_unknown(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ClusterError(f"there is no {what} {name}, there are {', '.join(known)}")


def _members_without(cluster: ReplicatedCluster, shard: str, name: str) -> Members:
    """The instances of a shard. Raises `ClusterError` if too few of them run for a quorum without `name`."""
    try:
        members = storages(cluster).members(shard)
    except StorageError as error:
        raise ClusterError(
            f"{error}: no instance can be replaced until most of them run; start one again, or restore a backup"
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
    """Stop an instance that is not in `membership`, and wait until its shard has expelled it."""
    left = ReplicatedCluster(of_membership(cluster.config, membership))
    left.announce = cluster.announce
    left.supervise()
    reload(left, all_run=False)
    _wait_out(left, name)


def _wait_out(cluster: ReplicatedCluster, name: str) -> None:
    """Wait until the leader of its shard has expelled an instance that the configuration does not list."""
    shard = shard_of(name)

    def is_out() -> bool:
        try:
            return name not in storages(cluster).members(shard).registered
        except StorageError:
            return False

    failure = f"{shard} has no leader, or has not expelled {name}; run this again"
    wait_until(is_out, time.monotonic() + SETTLE_S, lambda: failure)


def _join(cluster: ReplicatedCluster, say: Say) -> None:
    """Start the instance that is `coming`, and wait until it follows its shard's leader."""
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
            # `alive` includes the leader: if the old leader was removed, the new instance may have been elected.
            return name in storages(cluster).members(shard).alive
        except StorageError:
            return False

    failure = f"{name} does not follow the leader of {shard}; run this again"
    wait_until(follows, time.monotonic() + JOIN_S, lambda: failure)
