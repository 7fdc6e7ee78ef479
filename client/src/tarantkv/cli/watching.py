"""`status` and `top`: what the api reports about itself and its shards."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from tarantkv.cli.config import Target
from tarantkv.cli.exits import DONE, PART_FAILED, UNAVAILABLE, UsageError
from tarantkv.cli.opening import client_of, target_of
from tarantkv.cli.output import Output, printable
from tarantkv.cli.program import say
from tarantkv.cli.samples import Samples, rates
from tarantkv.cli.told import Told, lanes_of, lines_of, moves_of
from tarantkv.client import Client
from tarantkv.errors import NotFoundError, RequestError

_USED, _LIMIT = "tarantkv_shard_memory_used_bytes", "tarantkv_shard_memory_limit_bytes"


LONGEST_S = 86_400
"""The longest wait of `top` between two looks."""


def status(asked: Namespace) -> int:
    """Print one line for each shard; for users who may see it, one for each Redis lane and each pair of shards between
    which buckets move.
    """
    where = target_of(asked)
    with client_of(asked, where) as kv:
        version = kv.live().get("version")
        ready = kv.ready()
        samples = samples_of(kv)
        seen = Told(kv, known=is_known(where))
        told = seen.fresh()
    if ready.reason is not None:
        say(f"the api is not ready: {printable(ready.reason)}")
        return UNAVAILABLE
    output = Output(as_json=asked.json)
    output.records(shards_of(ready.shards, ready.shards_down, samples))
    if told is not None:
        output.records(lanes_of(told))
        output.records(moves_of(told))
    say(f"version {version}, ready, {len(ready.shards) - len(ready.shards_down)} of {len(ready.shards)} shards answer")
    if seen.refused:
        say("lanes and moves of buckets are shown to users with the scope observe")
    return PART_FAILED if ready.shards_down else DONE


def is_known(where: Target) -> bool:
    """Whether a user is logged in, or can log in."""
    return where.token is not None or where.password is not None


def shards_of(names: list[str], down: list[str], samples: Samples | None) -> list[dict[str, Any]]:
    """A record for each shard."""
    records = []
    for name in names:
        record: dict[str, Any] = {"shard": name, "state": "down" if name in down else "up"}
        if samples is not None:
            used, limit = samples.by("shard", _USED).get(name), samples.by("shard", _LIMIT).get(name)
            if used is not None and limit:
                record |= {"memory_mib": round(used / 2**20, 1), "memory_percent": round(100 * used / limit, 1)}
            record["expiring_keys"] = int(samples.by("shard", "tarantkv_expiring_keys").get(name, 0))
            record["expiry_lag_s"] = samples.by("shard", "tarantkv_expiry_lag_seconds").get(name, 0.0)
        records.append(record)
    return records


def samples_of(kv: Client) -> Samples | None:
    """The numbers of `/metrics`; None if a proxy does not pass it on."""
    try:
        return Samples(kv.metrics(), time.monotonic())
    except (NotFoundError, RequestError):
        return None


def top(asked: Namespace) -> int:
    """Look again and again: a screen on a terminal, otherwise a line of JSON for each look."""
    if not 0.1 <= asked.interval <= LONGEST_S or (asked.count is not None and asked.count < 1):
        raise UsageError(f"--interval must be 0.1 to {LONGEST_S}, and --count 1 or more")
    where = target_of(asked)
    url = where.url
    output = Output(as_json=asked.json)
    with client_of(asked, where) as kv:
        seen = Told(kv, known=is_known(where))
        before = samples_of(kv)
        if before is None:
            raise UsageError(f"{url} does not show its metrics: ask the api itself, not a proxy before it")
        looks = 0
        while asked.count is None or looks < asked.count:
            time.sleep(asked.interval)
            ready, after = kv.ready(), samples_of(kv) or before
            record = _record(before, after, ready.shards, ready.shards_down)
            told = seen.fresh()
            if told is not None:
                record |= {"lanes": lanes_of(told), "moves": moves_of(told)}
            if output.table:
                sys.stdout.write("\x1b[H\x1b[2J" + screen(url, record))
                sys.stdout.flush()
            else:
                output.record(record)
                sys.stdout.flush()
            before, looks = after, looks + 1
    return DONE


def _record(before: Samples, after: Samples, names: list[str], down: list[str]) -> dict[str, Any]:
    found = rates(before, after)
    return {
        "requests_per_s": round(sum(found.requests.values()), 1),
        "failed_per_s": round(found.failed, 1),
        "p50_ms": None if found.p50_ms is None else round(found.p50_ms, 2),
        "p99_ms": None if found.p99_ms is None else round(found.p99_ms, 2),
        "chunks_waiting": int(after.total("tarantkv_chunks_waiting") or 0),
        "routes": {route: round(rate, 1) for route, rate in found.requests.items() if rate},
        "shards": shards_of(names, down, after),
    }


def screen(url: str, record: dict[str, Any]) -> str:
    """A look as text."""
    p50, p99 = (f"{record[name]} ms" if record[name] is not None else "-" for name in ("p50_ms", "p99_ms"))
    lines = [
        f"tarant-kv at {printable(url)}   {time.strftime('%H:%M:%S')}   Ctrl-C ends",
        "",
        f"requests {record['requests_per_s']}/s   failed {record['failed_per_s']}/s   median {p50}   p99 {p99}",
        f"chunks waiting {record['chunks_waiting']}",
        "",
        *(f"  {printable(route):24} {rate:10}/s" for route, rate in record["routes"].items()),
        "",
        f"{'shard':12}{'state':8}{'memory':>18}{'expiring':>12}{'expiry lag':>12}",
    ]
    for shard in record["shards"]:
        memory = f"{shard['memory_mib']} MiB {shard['memory_percent']} %" if "memory_mib" in shard else ""
        expiring, lag = shard.get("expiring_keys", ""), shard.get("expiry_lag_s", "")
        lines.append(f"{printable(shard['shard']):12}{shard['state']:8}{memory:>18}{expiring:>12}{lag:>12}")
    lines += lines_of(record.get("lanes", []), record.get("moves", []))
    return "\n".join(lines) + "\n"


COMMANDS: dict[str, Callable[[Namespace], int]] = {"status": status, "top": top}
