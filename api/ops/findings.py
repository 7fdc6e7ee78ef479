"""What is wrong according to the status, and what to do: sentences for operators, the worst first.

`tarantkv doctor` reports its own findings in the same words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

FAILURE, WARNING = "failure", "warning"

MAX_SKEW_S = 5.0
FULL_PERCENT = 85.0
SHARD_FULL_PERCENT = 70.0
"""A shard of large values is full at 71 %: its allocator cannot use the rest. With small values it is full at 94 %."""

LAG_S = 60.0
OLD_S = 1.0
"""If a chunk waits longer than this, something is wrong: a slow shard, or too few workers."""

STILL_S = 20.0
"""A report of moves that is older than this is outdated: the program that moves buckets reports every second."""

SLOW_PROBLEMS_PER_S = 0.05
"""With more answers of 503 or 504 in a second there is a finding: one in twenty seconds may be chance."""

Report = Mapping[str, Any]


class Finding(NamedTuple):
    """What is wrong, as a sentence, and what to do. `failure`: requests fail because of it."""

    state: str
    text: str
    to_do: str


def findings(status: Report) -> list[Finding]:
    """The findings of a status, the worst first; none if nothing is wrong."""
    found = [*_queue(status), *_shards(status["shards"]), *_answers(status), *_lanes(status), *_slowly(status)]
    return sorted(found, key=lambda finding: finding.state != FAILURE)


def _queue(status: Report) -> Iterator[Finding]:
    queues = status["queues"]
    if queues and all(row["depth"] is None for row in queues):
        to_do = "make status, and the logs of redis and the api: make logs"
        yield Finding(FAILURE, "Redis does not answer, so no request is served", to_do)
        return
    alone = [row["shard"] for row in queues if row["workers"] == 0]
    if alone and len(alone) == len(queues):
        to_do = "start workers: make up, or docker compose up -d worker; make logs NAMES=worker-1 says why they ended"
        yield Finding(FAILURE, "no worker runs, so that no request is served", to_do)
    elif alone:
        to_do = "TARANTKV_SHARDS must be the same for the api and the workers"
        yield Finding(FAILURE, f"no worker works for {_named(alone)}", to_do)


def _shards(shards: Sequence[Report]) -> Iterator[Finding]:
    down = [row["shard"] for row in shards if row["state"] == "down"]
    if down:
        to_do = f"is the shard running, and a worker? make status; make logs NAMES=shard-{down[0]}"
        yield Finding(FAILURE, f"{len(down)} of {len(shards)} shards do not answer: {', '.join(down)}", to_do)
    closed = [row["shard"] for row in shards if row["state"] == "read_only"]
    if closed:
        to_do = "has it a leader, and free disk space (df) on its machine? docs/operations.md#shards"
        yield Finding(FAILURE, f"{_named(closed)} {_take(closed)} no changes; reads go on", to_do)
    for row in shards:
        used, limit = row["memory_used_bytes"], row["memory_limit_bytes"]
        if used is not None and limit and 100 * used / limit >= SHARD_FULL_PERCENT:
            to_do = "raise TARANTKV_SHARD_MEMORY_MIB and restart the shard"
            yield Finding(WARNING, f"shard {row['shard']} is {100 * used / limit:.0f} % full", to_do)
        lag, skew = row["expiry_lag_s"], row["clock_skew_s"]
        if lag is not None and lag > LAG_S:
            to_do = "vary the ttls of keys that are written together: docs/operations.md#keys-that-expire"
            yield Finding(WARNING, f"shard {row['shard']} is {lag:.0f} s behind with removing expired keys", to_do)
        if skew is not None and abs(skew) > MAX_SKEW_S:
            way = "ahead of" if skew > 0 else "behind"
            text = f"the clock of shard {row['shard']} is {abs(skew):.0f} s {way} this api's"
            yield Finding(WARNING, text, "run NTP on both: docs/operations.md#clocks")


def _answers(status: Report) -> Iterator[Finding]:
    requests = status["requests"]
    unknown, refused = (requests["by_status"].get(code, 0.0) for code in ("504", "503"))
    if unknown > SLOW_PROBLEMS_PER_S:
        to_do = "their clients repeat them with the same Idempotency-Key; look for a shard or worker that is slow"
        yield Finding(FAILURE, f"{unknown:.1f} requests a second end with an unknown outcome (504)", to_do)
    if refused > SLOW_PROBLEMS_PER_S:
        to_do = "if all shards answer, the load is too high: docs/operations.md#overload"
        yield Finding(WARNING, f"{refused:.1f} requests a second are refused (503); nothing of them was applied", to_do)


def _lanes(status: Report) -> Iterator[Finding]:
    lanes = status["lanes"]
    down = [row["lane"] for row in lanes if not row["up"]]
    if down and len(down) < len(lanes):
        text = f"{len(down)} of {len(lanes)} Redis lanes do not work: {', '.join(down)}; the others carry their shards"
        yield Finding(WARNING, text, "start it again; its shards return after 5 s: docs/operations.md#redis-lanes")
    for row in lanes:
        used, limit = row["memory_used_bytes"], row["memory_limit_bytes"]
        if used is not None and limit and 100 * used / limit >= FULL_PERCENT:
            to_do = "more workers, or more memory for Redis: docs/operations.md#overload"
            yield Finding(WARNING, f"the Redis at {row['lane']} is {100 * used / limit:.0f} % full", to_do)
    for row in status["moves"]:
        if row["told_s_ago"] > STILL_S:
            way = f"from {row['source']} to {row['target']}"
            text = f"moves of buckets {way} have stopped at {row['done']} of {row['total']}"
            yield Finding(WARNING, text, "read the output of make shard-add or shard-drain, or run it again")


def _slowly(status: Report) -> Iterator[Finding]:
    up = {row["shard"] for row in status["shards"] if row["state"] == "up"}
    slow = [row for row in status["queues"] if row["shard"] in up and row["oldest_s"] > OLD_S]
    if slow:
        worst = max(slow, key=lambda row: row["oldest_s"])
        text = f"chunks for shard {worst['shard']} have waited for {worst['oldest_s']:.1f} s"
        to_do = "start more workers: make scale WORKERS=4; the p99 shows whether the shard itself is slow"
        yield Finding(WARNING, text, to_do)
    versions = sorted({row["version"] for row in status["api"]})
    if len(versions) > 1:
        to_do = "if no upgrade is running, restart the older ones"
        yield Finding(WARNING, f"api processes of several versions run: {', '.join(versions)}", to_do)


def _named(shards: Sequence[str]) -> str:
    return f"shard {shards[0]}" if len(shards) == 1 else f"the shards {', '.join(shards)}"


def _take(shards: Sequence[str]) -> str:
    return "takes" if len(shards) == 1 else "take"
