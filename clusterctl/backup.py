"""Backups of a cluster of replica sets: a backup copies one instance of each shard, a restore gives it to all of them.

The files, their list and the checks are those of `localcluster.backup`. The list also names the shards and instances.
A restored cluster has the same UUIDs and the same cluster id as before.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from clusterctl.changes import storages, under_way
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_membership, remember, remembered
from clusterctl.copies import copy_caught_up, make_own
from clusterctl.membership import Membership
from clusterctl.plan import fixed_uuid
from clusterctl.storages import StorageError
from localcluster.backup import (
    Say,
    empty_shards,
    finish,
    new_backup,
    put_back,
    read_manifest,
    size_of,
)
from localcluster.waiting import ClusterError


def backup(cluster: ReplicatedCluster, target: Path, say: Say) -> int:
    """Back up every shard of a running cluster into the new directory `target`. Returns the number of bytes.

    A shard is copied from a follower where there is one, so that the copy does not slow its leader down.

    Raises:
        ClusterError: a shard has no leader, buckets move, the members of the cluster change, or `target` exists.
    """
    membership = cluster.config.membership
    begun = under_way(membership)
    if begun is not None:
        raise ClusterError(f"{begun[0]}: finish that with make {begun[1]} first")
    with new_backup(cluster, target) as scratch:
        try:
            before = _owned(cluster)
            shards = {name: copy_caught_up(cluster, name, scratch, say) for name in membership.names()}
            # A bucket that moved during the backup could be in both copies, or in none.
            if _owned(cluster) != before:
                raise ClusterError("buckets moved during the backup: run it again when no bucket moves")
        except StorageError as error:
            raise ClusterError(str(error)) from None
        finish(scratch, shards, {"cluster": _told(cluster)})
    return size_of(shards)


def restore(cluster: ReplicatedCluster, source: Path, say: Say) -> int:
    """Put a backup into the data directories of a cluster that was never started. Returns the number of bytes.

    Raises:
        ClusterError: `source` is not a complete backup of a cluster, or of one with other passwords, or the cluster
            has data already.
    """
    manifest = read_manifest(source)
    membership, shards = _membership(manifest, source), manifest["shards"]
    restored = ReplicatedCluster(of_membership(cluster.config, membership))
    told = _told(restored)
    for what, where in (("bucket_count", "another TARANTKV_BUCKET_COUNT"), ("password", "other passwords in .env")):
        if manifest["cluster"].get(what) != told[what]:
            raise ClusterError(f"{source} is of a cluster with {where}: put the .env of that cluster in place first")
    if sorted(shards) != sorted(membership.names()):
        raise ClusterError(
            f"{source} is damaged: it holds {', '.join(shards)}, and lists shards {', '.join(membership.names())}"
        )
    if remembered(cluster.config.data_dir) not in (None, membership):
        raise ClusterError(f"{cluster.config.data_dir} belongs to another cluster: move it away first")
    with empty_shards(cluster, "make cluster-down") as scratch:
        for shard, files in shards.items():
            first, *others = membership.instances(shard)
            put_back(source, shard, files, scratch / first, say)
            for instance in others:
                shutil.copytree(scratch / first, scratch / instance)
            for instance in (first, *others):
                make_own(scratch / instance, fixed_uuid(membership.seed, instance))
        remember(restored.config)
    return size_of(shards)


def _owned(cluster: ReplicatedCluster) -> dict[str, Sequence[int]]:
    """The buckets of each shard. Raises `ClusterError` if a bucket is moving."""
    found = {}
    every = storages(cluster)
    for name in every.names:
        buckets = every.buckets(name)
        if buckets.passing:
            raise ClusterError(f"buckets of {name} are moving: make the backup when no bucket moves")
        found[name] = buckets.owned
    return found


def _told(cluster: ReplicatedCluster) -> dict[str, Any]:
    """What a backup records about its cluster.

    That includes a hash of the password with which the instances log in to each other: their data holds it, too.
    """
    config = cluster.config
    password = hashlib.sha256(f"{config.membership.seed}/{config.instances_password}".encode()).hexdigest()
    return {"membership": asdict(config.membership), "bucket_count": config.bucket_count, "password": password}


def _membership(manifest: Mapping[str, Any], source: Path) -> Membership:
    try:
        return msgspec.convert(manifest["cluster"]["membership"], Membership)
    except KeyError:
        raise ClusterError(f"{source} is a backup of a single machine: restore it with make restore") from None
    except (msgspec.ValidationError, TypeError):
        raise ClusterError(f"{source} is damaged: it does not list the instances of its cluster") from None
