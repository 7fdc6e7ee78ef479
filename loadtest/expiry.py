"""`python -m loadtest.expiry`: a million keys expire in the same second; measures what that costs requests for others.

It starts its own tarant-kv, fills it with keys with one `expires_at`, and has a client read another key repeatedly:
before that moment, from then until the shards have removed all, and after. It shows how long those reads took, the
expiry lag of the shards, and whether they freed the memory.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from localcluster.cluster import Cluster
from localcluster.config import for_tests
from localcluster.dotenv import REPOSITORY

BATCH = 5000
POLL_S = 0.05
LONGEST_S = 300.0
"""The longest time that the removal may take."""

SPARE_S = 5.0
"""The time between the end of the first measurement and the moment at which the keys expire."""

SLACK_MIB = 2.0
"""The memory that the records of the writes and of the reads' user may take at the end."""

_MIB = 1024 * 1024
_STATUS = "local a, b, c = require('tarantkv.sweep').status() return require('json').encode({a, b, c, %s, %s})"
_STATUS %= ("tonumber(box.space.kv:bsize() + box.space.expiring:bsize())", "tonumber(box.slab.info().items_used)")


@dataclass
class Sweep:
    """Totals over all shards: keys removed since the start, the longest expiry lag, keys that expire, and bytes of
    memory.
    """

    removed: int
    lag_ms: int
    expiring: int
    tuples: int
    used: int


@dataclass
class Result:
    """The result of a run. Times are seconds, latencies milliseconds."""

    keys: int
    filled_s: float
    p99_ms: dict[str, float] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    removed_s: float = 0.0
    longest_lag_s: float = 0.0
    lag_at_end_s: float = 0.0
    used_mib: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The p99 while keys are removed, divided by the mean of those before and after."""
        return self.p99_ms["removing"] / ((self.p99_ms["before"] + self.p99_ms["after"]) / 2)


def console(path: Path, lua: str) -> str:
    """The result of Lua code in a shard; it must be a text."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(f"return (function() {lua} end)()\n".encode())
        said = b""
        while not said.endswith(b"\n...\n"):
            said += connection.recv(65536)
    (line,) = [line for line in said.decode().splitlines() if line.startswith("- ")]
    return line[2:].strip("'")


def sweep_of(cluster: Cluster) -> Sweep:
    """Ask all shards."""
    said = [json.loads(console(cluster.console_socket(shard.name), _STATUS)) for shard in cluster.config.shards]
    removed, lags, expiring, tuples, used = zip(*said, strict=True)
    return Sweep(sum(removed), max(lags), sum(expiring), sum(tuples), sum(used))


class Probe:
    """A client in its own process that reads one key repeatedly."""

    def __init__(self, base_url: str, token: str) -> None:
        address = urlsplit(base_url)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.worst.probe", str(address.hostname), str(address.port), token],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout is not None:
            self._process.stdout.readline()

    def latencies_ms(self) -> list[float]:
        """End the client; returns how long its reads took, sorted."""
        said, _ = self._process.communicate(timeout=60)
        return sorted(seconds * 1000 for seconds in json.loads(said))


def p99(latencies: Sequence[float]) -> float:
    """The latency that 99 of 100 do not exceed; they must be sorted."""
    return latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)]


def run(cluster: Cluster, keys: int, ends_in_s: float, calm_s: float) -> Result:
    """Fill, wait for the expiry, and measure."""
    credentials = {"username": cluster.admin_user, "password": cluster.admin_password}
    with httpx.Client(base_url=cluster.base_url, trust_env=False, timeout=60) as http:
        token = str(http.post("/api/login", json=credentials).json()["token"])
        http.headers["Authorization"] = token
        empty = sweep_of(cluster)
        began, ends = time.time(), time.time() + ends_in_s
        for start in range(0, keys, BATCH):
            data = {f"expiry:{number}": "x" * 64 for number in range(start, min(start + BATCH, keys))}
            http.post("/api/write", json={"data": data, "expires_at": ends}).raise_for_status()
        result = Result(keys, time.time() - began)
        full = sweep_of(cluster)
        if time.time() + calm_s + SPARE_S > ends:
            raise SystemExit(f"filling took {result.filled_s:.0f} s: give more than {ends_in_s:.0f} s with --ends-in")

        def measured(name: str, until: Callable[[], bool]) -> None:
            probe = Probe(cluster.base_url, token)
            while not until():
                time.sleep(POLL_S)
            latencies = probe.latencies_ms()
            result.p99_ms[name], result.reads[name] = p99(latencies), len(latencies)

        calm_ends = time.time() + calm_s
        measured("before", lambda: time.time() > calm_ends)
        time.sleep(max(0.0, ends - time.time()))

        def removed() -> bool:
            now = sweep_of(cluster)
            result.longest_lag_s = max(result.longest_lag_s, now.lag_ms / 1000)
            result.lag_at_end_s, result.removed_s = now.lag_ms / 1000, time.time() - ends
            return (now.removed - empty.removed >= keys and not now.lag_ms) or result.removed_s > LONGEST_S

        measured("removing", removed)
        calm_ends = time.time() + calm_s
        measured("after", lambda: time.time() > calm_ends)
        left = sweep_of(cluster)
    for name, sweep in (("empty", empty), ("full", full), ("after", left)):
        result.used_mib[name] = sweep.used / _MIB
    return result


def table(result: Result) -> str:
    """The result in Markdown."""
    rows = [
        f"| {name} | {result.reads[name]} | {result.p99_ms[name]:.1f} ms |" for name in ("before", "removing", "after")
    ]
    used = ", ".join(f"{name} {mib:.0f} MiB" for name, mib in result.used_mib.items())
    text = (
        f"While keys were removed the p99 was {result.ratio:.2f} times the mean of before and after. All were removed "
        f"{result.removed_s:.1f} s after their end; the lag was {result.longest_lag_s:.1f} s at most, and "
        f"{result.lag_at_end_s:.1f} s at the end. In use for data: {used}."
    )
    head = f"{result.keys:,} keys, written in {result.filled_s:.0f} s, expired in the same second."
    return "\n".join([head, "", "| reads of another key | number | p99 |", "|---|---|---|", *rows, "", text])


def main() -> int:
    """Run and print a table; exit with 1 if the keys were not removed or their memory was not freed."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.expiry", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--ends-in", type=float, default=120.0, help="seconds from the start of filling to the expiry")
    parser.add_argument("--calm", type=float, default=20.0, help="seconds of each measurement before and after")
    parser.add_argument("--shards", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tarant-kv-expiry-") as directory:
        memory = str(256 + options.keys // 1000)
        settings = {"shard": {"TARANTKV_SHARD_MEMORY_MIB": memory}}
        cluster = Cluster(for_tests(Path(directory), shards=options.shards, tier_settings=settings))
        cluster.start()
        try:
            result = run(cluster, options.keys, options.ends_in, options.calm)
        finally:
            cluster.stop()
    print(table(result))
    taken = result.used_mib["full"] - result.used_mib["empty"]
    given_back = result.used_mib["after"] < result.used_mib["empty"] + taken / 20 + SLACK_MIB
    return 0 if not result.lag_at_end_s and given_back else 1


if __name__ == "__main__":
    sys.exit(main())
