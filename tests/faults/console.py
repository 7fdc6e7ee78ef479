"""Questions to a shard through its console socket."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import yaml

from localcluster.cluster import Cluster
from protocol.buckets import bucket_of

MARK_LEAD_S = 1.0
"""How far a shard's mark of its clock is ahead of the clock (`LEAD_MS` of shard_clock.lua)."""

_USUAL_S = 0.1
"""A clock may seem wrong by this much because the machine is busy."""

_END = b"\n...\n"


def evaluate(path: Path, expression: str) -> list[Any]:
    """The values of a Lua expression list, evaluated in the shard whose console listens at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
        console.settimeout(10)
        console.connect(str(path))
        with console.makefile("rb") as answers:
            for _ in range(2):
                answers.readline()
            console.sendall(f"return {expression}\n".encode())
            text = b""
            while not text.endswith(_END):
                line = answers.readline()
                if not line:
                    raise ConnectionError(f"the console ended after {text!r}")
                text += line
    values: list[Any] = yaml.safe_load(text)
    return values


def applications(cluster: Cluster, shard: str) -> tuple[int, int]:
    """How many chunks a shard has applied, and the highest number of applications of one chunk."""
    function = (
        "(function() local most = 0 for _, entry in box.space.applications:pairs() do most = math.max(most, entry[2]) "
        "end return box.space.applications:len(), most end)()"
    )
    chunks, most = evaluate(cluster.console_socket(shard), function)
    return int(chunks), int(most)


def applied(cluster: Cluster, shard: str, chunk_id: bytes) -> int:
    """How often a shard has applied one chunk."""
    raw = "".join(f"\\{byte:03d}" for byte in chunk_id)
    (times,) = evaluate(cluster.console_socket(shard), f"(box.space.applications:get('{raw}') or {{0, 0}})[2]")
    return int(times)


def keys_of(cluster: Cluster, shard: str, prefix: str, number: int) -> list[str]:
    """Keys that all belong to one shard."""
    (description,) = evaluate(cluster.console_socket(shard), "tarantkv.describe()")
    ranges = description["ranges"]

    def owned(key: str) -> bool:
        bucket = bucket_of(key.encode(), description["bucket_count"])
        return any(first <= bucket <= last for first, last in ranges)

    found = (key for attempt in range(100_000) if owned(key := f"{prefix}/{shard}/{attempt}"))
    return [next(found) for _ in range(number)]


def clocks_off_s(cluster: Cluster) -> float:
    """How wrong the clock by which keys expire may be on the worst shard, and how far it may jump.

    A shard's clock never goes back. One that was ahead runs slower until it is right, whatever the machine's clock
    does, and continues from its mark if the shard restarts meanwhile. The time that this question takes is not counted.
    """
    off = [0.0]
    for shard in cluster.config.shards:
        before = time.time()
        (now_ms,) = evaluate(cluster.console_socket(shard.name), "require('tarantkv.shard_clock').now_ms()")
        off.append(max(before - now_ms / 1000, now_ms / 1000 - time.time()))
    return max(off) + MARK_LEAD_S if max(off) > _USUAL_S else max(off)


def stored(cluster: Cluster, shard: str, key: str) -> bool:
    """Whether a shard has a value under a key."""
    (found,) = evaluate(cluster.console_socket(shard), f"box.space.kv:get('{key}') ~= nil")
    return bool(found)
