"""Settings of a Tarantool instance. `tarantool-cluster/` reads them in Lua, with the defaults that `lua.py` writes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.settings.base import Settings
from protocol.settings.deadlines import CLOCK_SKEW_S, ClockSkew


class ShardSettings(Settings, frozen=True, kw_only=True):
    """A Tarantool instance."""

    clock_skew_s: ClockSkew = CLOCK_SKEW_S
    shard: Annotated[str, Meta(description="Name of the shard to which this instance belongs.")]
    shard_listen: Annotated[str, Meta(description="Address on which the instance listens.")] = "127.0.0.1:3301"
    shard_dir: Annotated[str, Meta(description="Directory of snapshots and write-ahead log.")] = "."
    # memtx accepts no less than 64 MiB.
    shard_memory_mib: Annotated[int, Meta(ge=64, le=1_048_576, description="Memory for data, in MiB.")] = 512
    wal_mode: Annotated[
        Literal["write", "fsync"],
        Meta(
            description="What an acknowledged write survives: with `write` a killed process, with "
            "`fsync` a power cut, too."
        ),
    ] = "write"
    max_claims_per_user: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000_000,
            description="Most claims of `Idempotency-Key`s that one shard keeps for one user at a time; beyond that, "
            "503. Each takes about 170 bytes.",
        ),
    ] = 1_000_000
    count_applications: Annotated[
        bool,
        Meta(description="Count for each chunk how often it was applied. For tests: the counts are kept forever."),
    ] = False
    shard_console: Annotated[str, Meta(description="Path of a unix socket for an admin console; empty: none.")] = ""
