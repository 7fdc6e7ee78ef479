"""Copies the data of an instance while its shard serves: for a backup, and for a new instance.

A new instance starts from such a copy, not by Tarantool's own join. A joining instance ends if the last change that its
leader sends is not confirmed yet, and under load that is always so.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clusterctl.changes import storages
from clusterctl.cluster import ReplicatedCluster
from clusterctl.membership import shard_of
from clusterctl.plan import fixed_uuid
from localcluster import shard_console
from localcluster.backup import Say, alone, copy_shard
from localcluster.config import shard_dir
from localcluster.waiting import ClusterError

CATCH_UP_S = 30

# Number 0 counts rows that an instance keeps to itself and never replicates.
_REACHED = """
    local found = setmetatable({}, {__serialize = 'seq'})
    for id, lsn in pairs(box.info.vclock) do
        if id ~= 0 then table.insert(found, {id, lsn}) end
    end
    return found
"""

_CATCH_UP = """
    local fiber = require('fiber')
    local ends = fiber.clock() + %d
    for _, wanted in ipairs({%s}) do
        while (box.info.vclock[wanted[1]] or 0) < wanted[2] do
            if fiber.clock() > ends then return false end
            fiber.sleep(0.01)
        end
    end
    return true
"""

# Takes a number that no instance ever had, if there is one: rows of a former holder may still be arriving.
_REGISTER = """
    local cluster, free = box.space._cluster, nil
    if cluster.index.uuid:get('%s') ~= nil then return true end
    local last = cluster.index[0]:max()[1]
    for id in pairs(box.info.vclock) do last = math.max(last, id) end
    for id = last + 1, 31 do free = free or id end
    for id = 1, 31 do free = free or cluster:get(id) == nil and id or nil end
    cluster:insert({free, '%s', '%s'})
    return true
"""

_HEADER = re.compile(rb"\nInstance: [0-9a-f-]{36}\n")


def copy_caught_up(
    cluster: ReplicatedCluster, shard: str, scratch: Path, say: Say, before_logs: Callable[[], None] = lambda: None
) -> Mapping[str, Any]:
    """Copy a shard to the directory `scratch/SHARD`: from a follower that has caught up, or else from its leader.

    The copy holds all that the leader held when `before_logs` returned. Returns the files as `copy_shard` does.

    Raises:
        ClusterError: no instance has caught up with the leader within `CATCH_UP_S`.
        StorageError: the shard has no leader.
    """
    members = storages(cluster).members(shard)
    names = cluster.config.membership.instances(shard)
    following = [name for name in names if name in members.following]
    for instance in (*following, members.leader):
        if _catches_up(cluster, shard, instance):
            break
    else:
        raise ClusterError(f"no instance of {shard} has caught up with its leader within {CATCH_UP_S} s")

    def catch_up() -> None:
        before_logs()
        if not _catches_up(cluster, shard, instance):
            raise ClusterError(f"{instance} has not caught up with its leader within {CATCH_UP_S} s")

    return copy_shard(cluster, shard, instance, scratch, say, catch_up)


def seed(cluster: ReplicatedCluster, name: str, say: Say) -> None:
    """Give an instance without data a copy of its shard's data, and register it with its shard.

    Raises:
        ClusterError, StorageError: as `copy_caught_up`.
    """
    shard, scratch = shard_of(name), cluster.config.data_dir / "seed"
    uuid = fixed_uuid(cluster.config.membership.seed, name)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    with alone(cluster):
        copy_caught_up(
            cluster, shard, scratch, say, lambda: storages(cluster).run(shard, _REGISTER % (uuid, uuid, name))
        )
    make_own(scratch / shard, uuid)
    target = shard_dir(cluster.config.data_dir, name)
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The snapshot is put there last: if there is one, the instance takes its data as complete.
    for path in sorted((scratch / shard).iterdir(), key=lambda path: path.suffix == ".snap"):
        path.replace(target / path.name)
    shutil.rmtree(scratch)


def make_own(directory: Path, uuid: str) -> None:
    """Write an instance's UUID into the headers of data files, so that the instance accepts them as its own."""
    for path in directory.iterdir():
        with path.open("r+b") as file:
            found = _HEADER.search(file.read(4096))
            if found is None:
                raise ClusterError(f"{path.name} is damaged: its header does not name the instance that wrote it")
            file.seek(found.start())
            file.write(f"\nInstance: {uuid}\n".encode())


def _catches_up(cluster: ReplicatedCluster, shard: str, instance: str) -> bool:
    """Wait until an instance has all that its leader has now; False if that takes longer than `CATCH_UP_S`."""
    reached = storages(cluster).run(shard, _REACHED)
    wanted = ", ".join(f"{{{number}, {lsn}}}" for number, lsn in reached)
    return bool(shard_console.run(cluster.console_socket(instance), _CATCH_UP % (CATCH_UP_S, wanted)))
