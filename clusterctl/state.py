"""Asks instances for their state over their admin consoles, and checks which shard owns which bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localcluster import shard_console
from localcluster.waiting import ClusterError

TIMEOUT_S = 1.0

_ASK = """
    local info, said = box.info, _G.tarantkv and _G.tarantkv.describe() or nil
    local lag, silent = 0, {}
    for _, replica in pairs(info.replication) do
        if replica.upstream ~= nil then
            if replica.upstream.status ~= 'follow' and replica.upstream.status ~= 'sync' then
                silent[#silent + 1] = replica.name
            elseif replica.id == info.election.leader then
                lag = replica.upstream.lag
            end
        end
    end
    local slab = box.slab.info()
    return {
        leads = said ~= nil and not said.ro, state = info.election.state, term = info.election.term,
        ready = said ~= nil, lag = lag, silent = setmetatable(silent, {__serialize = 'seq'}),
        ranges = said and said.ranges or setmetatable({}, {__serialize = 'seq'}),
        moving = said and said.moving or setmetatable({}, {__serialize = 'seq'}),
        keys = box.space.kv and box.space.kv:len() or 0,
        waiting = info.synchro.queue.len,
        memory_used = tonumber(slab.arena_used), memory_limit = tonumber(slab.quota_size),
        has_first_buckets = box.space.identity ~= nil and box.space.identity:get('first_buckets') ~= nil,
    }
"""


def of(console: Path) -> dict[str, Any] | None:
    """The state of the instance behind a console; None if it does not answer, or has no state yet."""
    try:
        said: dict[str, Any] = shard_console.run(console, _ASK, TIMEOUT_S)
    except ClusterError:
        return None
    return said


def map_fault(ranges: Mapping[str, Sequence[Sequence[int]]], bucket_count: int) -> str | None:
    """The first fault in the shards' ranges of buckets; None: each bucket belongs to exactly one shard."""
    expected = 1
    for first, last, shard in sorted((first, last, shard) for shard, each in ranges.items() for first, last in each):
        if first > expected:
            return f"buckets {expected} to {first - 1} belong to no shard"
        if first < expected:
            return f"bucket {first} belongs to {shard} and to another shard"
        expected = last + 1
    return None if expected == bucket_count + 1 else f"buckets {expected} to {bucket_count} belong to no shard"
