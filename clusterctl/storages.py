"""Reaches the replica sets of a cluster over their admin consoles: finds leaders, lists buckets, moves one bucket.

It asks the leaders, through vshard's public interface and its space `_bucket`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusterctl.rebalance import Told
from localcluster import shard_console
from localcluster.waiting import ClusterError

ASK_TIMEOUT_S = 5.0
SEND_TIMEOUT_S = 3.0
"""How long the move of a bucket may take; after that vshard undoes it."""

_LEADS = "return not box.info.ro and box.info.status == 'running'"

_AWAY = """
local away = setmetatable({}, {__serialize = 'seq'})
for _, peer in pairs(box.info.replication) do
    if peer.id ~= box.info.id then
        local down = peer.downstream
        if down == nil or down.status ~= 'follow' then
            table.insert(away, peer.name or peer.uuid)
        end
    end
end
return away
"""

_MEMBERS = """
local found = {leader = box.info.name, registered = setmetatable({}, {__serialize = 'seq'}),
    following = setmetatable({}, {__serialize = 'seq'})}
for _, row in box.space._cluster:pairs() do
    table.insert(found.registered, row[3] or row[2])
end
for _, peer in pairs(box.info.replication) do
    if peer.downstream ~= nil and peer.downstream.status == 'follow' then
        table.insert(found.following, peer.name or peer.uuid)
    end
end
return found
"""

_BUCKETS = """
local found = setmetatable({}, {__serialize = 'map'})
for _, row in box.space._bucket:pairs() do
    found[row.status] = found[row.status] or {}
    local ranges = found[row.status]
    local last = ranges[#ranges]
    if last ~= nil and last[2] == row.id - 1 then
        last[2] = row.id
    else
        ranges[#ranges + 1] = {row.id, row.id}
    end
end
return found
"""

_SEND = """
local ok, err = require('vshard').storage.bucket_send({bucket}, '{target}', {{timeout = {timeout}}})
if ok then return '' end
return type(err) == 'table' and err.message or tostring(err)
"""

_CLOCK = "return require('tarantkv.shard_clock').now_ms()"
_FOLLOW = """
require('tarantkv.shard_clock').follow({now_ms}, require('tarantkv.retention').skew())
return true
"""

_TELL = "require('tarantkv.progress').say({{{rows}}}) return true"
_ROW = "{{'{target}', {done}, {total}, {left}}}"

OWNED = ("active", "pinned")
PASSING = ("sending", "receiving", "readonly")
"""States of a bucket that is moving, or whose move has failed. vshard itself finishes or undoes such a move."""


class StorageError(Exception):
    """A replica set does not answer, or has not done what it was asked to do; the text says which one and why."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets of a replica set: those it owns, those that are moving, and those that have moved away but are not
    deleted yet.
    """

    owned: Sequence[int]
    passing: Sequence[int]
    leftover: Sequence[int]


@dataclass(frozen=True, slots=True)
class Members:
    """The instances of a replica set as its leader knows them."""

    leader: str
    registered: frozenset[str]
    """All instances that count for the quorum of a change, the leader included."""
    following: frozenset[str]

    @property
    def alive(self) -> frozenset[str]:
        """The leader and its followers."""
        return self.following | {self.leader}


class Storages:
    """All replica sets. `consoles` holds the paths of the instances' admin consoles, by name of the replica set."""

    def __init__(self, consoles: Mapping[str, Sequence[Path]]) -> None:
        self._consoles = {name: tuple(paths) for name, paths in consoles.items()}
        self._leaders: dict[str, Path] = {}

    @property
    def names(self) -> Sequence[str]:
        """The names of all replica sets."""
        return tuple(self._consoles)

    def faults(self) -> list[str]:
        """What keeps buckets from moving: replica sets without a leader and instances that are down, one line each."""
        found = []
        for name in self._consoles:
            try:
                away = self.run(name, _AWAY)
            except StorageError as error:
                found.append(str(error))
            else:
                found += [f"{name}: {instance} is down" for instance in sorted(away)]
        return found

    def members(self, name: str) -> Members:
        """The instances of a replica set.

        Raises:
            StorageError: it has no leader.
        """
        said = self.run(name, _MEMBERS)
        return Members(said["leader"], frozenset(said["registered"]), frozenset(said["following"]))

    def buckets(self, name: str) -> Buckets:
        """The buckets of a replica set.

        Raises:
            StorageError: it does not answer.
        """
        said: dict[str, list[list[int]]] = self.run(name, _BUCKETS)
        by_state = {
            state: [bucket for first, last in ranges for bucket in range(first, last + 1)]
            for state, ranges in said.items()
        }
        return Buckets(
            sorted(bucket for state in OWNED for bucket in by_state.get(state, ())),
            sorted(bucket for state in PASSING for bucket in by_state.get(state, ())),
            sorted(bucket for state, each in by_state.items() if state not in (*OWNED, *PASSING) for bucket in each),
        )

    def send(self, bucket: int, source: str, target: str) -> None:
        """Move one bucket.

        Raises:
            StorageError: the bucket has not moved, or it is unknown whether it has.
        """
        # The target's clock is moved forward to the source's first, so that a key that had expired at the source does
        # not reappear at the target. It may do so for an eighth of the time that the move takes: a clock that is ahead
        # of the wall clock runs that much more slowly.
        self.run(target, _FOLLOW.format(now_ms=int(self.run(source, _CLOCK))))
        fault = self.run(source, _SEND.format(bucket=bucket, target=target, timeout=SEND_TIMEOUT_S))
        if fault:
            raise StorageError(f"{source}: bucket {bucket} has not moved to {target}: {fault}")

    def tell(self, name: str, moves: Sequence[Told]) -> None:
        """Tell a replica set how many moves of its buckets are done.

        Raises:
            StorageError: it does not answer.
        """
        rows = (
            _ROW.format(
                target=move.target,
                done=move.done,
                total=move.total,
                left="nil" if move.left_s is None else round(move.left_s * 1000),
            )
            for move in moves
        )
        self.run(name, _TELL.format(rows=", ".join(rows)))

    def run(self, name: str, lua: str) -> Any:
        """Run the body of a Lua function on the leader of a replica set. JSON must be able to express its result.

        Raises:
            StorageError: it has no leader, or the function failed.
        """
        path = self._leader(name)
        try:
            return shard_console.run(path, lua, SEND_TIMEOUT_S + ASK_TIMEOUT_S)
        except ClusterError as error:
            self._leaders.pop(name, None)
            raise StorageError(f"{name}: {error}") from None

    def _leader(self, name: str) -> Path:
        known = self._leaders.get(name)
        for path in ((known,) if known is not None else ()) + self._consoles[name]:
            try:
                if shard_console.run(path, _LEADS, ASK_TIMEOUT_S):
                    self._leaders[name] = path
                    return path
            except ClusterError:
                continue
        self._leaders.pop(name, None)
        raise StorageError(f"{name} has no leader")
