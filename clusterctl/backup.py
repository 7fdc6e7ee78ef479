"""Backups of a cluster of replica sets: one instance of each shard is copied, and every instance gets that copy back.

The files, the list of them and what is checked are those of `localcluster.backup`. Beside them stands which shards and
instances there are. What is restored is the same cluster, as it was: with the same UUIDs and the same id.
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
    """Back up every shard of a running cluster into the new directory `target`; returns the number of bytes. A shard is
    copied from an instance that follows, so that its leader serves undisturbed.

    Raises:
        ClusterError: a shard has no leader, buckets move or instances come or go, or `target` is there.
    """
    membership = cluster.config.membership
    begun = under_way(membership)
    if begun is not None:
        raise ClusterError(f"{begun[0]}: end that with make {begun[1]} first")
    with new_backup(cluster, target) as scratch:
        try:
            before = _owned(cluster)
            shards = {name: copy_caught_up(cluster, name, scratch, say) for name in membership.names()}
            # A bucket that has moved meanwhile could be in both copies, or in none.
            if _owned(cluster) != before:
                raise ClusterError("buckets have moved meanwhile: make the backup again when none does")
        except StorageError as error:
            raise ClusterError(str(error)) from None
        finish(scratch, shards, {"cluster": _told(cluster)})
    return size_of(shards)


def restore(cluster: ReplicatedCluster, source: Path, say: Say) -> int:
    """Put a backup where the instances of a cluster that was never started look for their data; returns its bytes.

    Raises:
        ClusterError: it is no whole backup of a cluster, or of one with other passwords, or there is data already.
    """
    manifest = read_manifest(source)
    membership, shards = _membership(manifest, source), manifest["shards"]
    restored = ReplicatedCluster(of_membership(cluster.config, membership))
    told = _told(restored)
    for what, where in (("bucket_count", "TARANTKV_BUCKET_COUNT"), ("password", ".env, its passwords")):
        if manifest["cluster"].get(what) != told[what]:
            raise ClusterError(f"{source} is of a cluster with another {where}: put that beside it first")
    if sorted(shards) != sorted(membership.names()):
        raise ClusterError(f"{source} has shards {', '.join(shards)}, its cluster {', '.join(membership.names())}")
    if remembered(cluster.config.data_dir) not in (None, membership):
        raise ClusterError(f"{cluster.config.data_dir} is another cluster's: move it away first")
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
    """The buckets of each shard; raises `ClusterError` where one is on its way."""
    found = {}
    every = storages(cluster)
    for name in every.names:
        buckets = every.buckets(name)
        if buckets.passing:
            raise ClusterError(f"buckets of {name} are on their way: make the backup when none is")
        found[name] = buckets.owned
    return found


def _told(cluster: ReplicatedCluster) -> dict[str, Any]:
    """What a backup says of its cluster. The instances know each other by a password that is in their data, too."""
    config = cluster.config
    password = hashlib.sha256(f"{config.membership.seed}/{config.instances_password}".encode()).hexdigest()
    return {"membership": asdict(config.membership), "bucket_count": config.bucket_count, "password": password}


def _membership(manifest: Mapping[str, Any], source: Path) -> Membership:
    try:
        return msgspec.convert(manifest["cluster"]["membership"], Membership)
    except KeyError:
        raise ClusterError(f"{source} is of a single machine: make restore puts it back") from None
    except (msgspec.ValidationError, TypeError):
        raise ClusterError(f"{source} does not say which instances there were: it is damaged") from None
