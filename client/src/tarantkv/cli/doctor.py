"""`doctor`: finds faults and says what to do. It uses the api's answers over HTTP, and nothing else."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from tarantkv._version import VERSION
from tarantkv.cli.exits import DONE, PART_FAILED, UNAVAILABLE
from tarantkv.cli.opening import client_of, target_of
from tarantkv.cli.output import Output
from tarantkv.cli.samples import Samples
from tarantkv.cli.watching import samples_of
from tarantkv.client import Client
from tarantkv.errors import ForbiddenError, NotAllowedError, TarantKVError, UnreachableError
from tarantkv.models import Ready

OK, WARNING, FAILURE, NOT_SEEN = "ok", "warning", "failure", "not seen"

MAX_SKEW_S = 5.0
"""Tokens are accepted for this much longer, and a `Date` has whole seconds."""

FULL_PERCENT = 70.0
LAG_S = 60.0


class Finding(NamedTuple):
    """One check: its subject, its state, and what to do if something is wrong."""

    check: str
    state: str
    found: str
    to_do: str = ""


def run(asked: Namespace) -> int:
    """Print a line for each check."""
    where = target_of(asked)
    output = Output(as_json=asked.json)
    with client_of(asked, where) as kv:
        try:
            version = str(kv.live().get("version"))
        except TarantKVError as error:
            to_do = "is the api running there? make status; --url names another address"
            output.record(Finding("api", FAILURE, f"{where.url}: {error.detail}", to_do)._asdict())
            return UNAVAILABLE if isinstance(error, UnreachableError) else PART_FAILED
        findings = [Finding("api", OK, f"{where.url} answers"), _versions(version), *_clock(kv)]
        ready, samples = kv.ready(), samples_of(kv)
        findings += [_redis(ready, samples), *_shards(ready), *_token(kv), *_metrics(samples)]
    output.records([finding._asdict() for finding in findings], Finding._fields)
    return PART_FAILED if any(finding.state in (WARNING, FAILURE) for finding in findings) else DONE


def _versions(version: str) -> Finding:
    if version.split(".")[:2] == VERSION.split(".")[:2]:
        return Finding("versions", OK, f"api {version}, client {VERSION}")
    return Finding("versions", WARNING, f"api {version}, client {VERSION}", "install the client of the api's version")


def _clock(kv: Client) -> Iterator[Finding]:
    began = time.time()
    date = kv.date()
    if date is None:
        yield Finding("clock", NOT_SEEN, "the api's answers have no Date")
        return
    try:
        told = parsedate_to_datetime(date).timestamp()
    except ValueError:
        yield Finding("clock", NOT_SEEN, "the api's answers have a Date that cannot be read")
        return
    # The answer was made between the two times; a Date is the second that has begun.
    skew = told + 0.5 - (began + time.time()) / 2
    text = f"the api's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    if abs(skew) <= MAX_SKEW_S:
        yield Finding("clock", OK, text)
    else:
        yield Finding("clock", WARNING, text, "run NTP on both: docs/operations.md#clocks")


def _redis(ready: Ready, samples: Samples | None) -> Finding:
    if ready.reason is None:
        lanes = samples.by("lane", "tarantkv_redis_lane_up") if samples is not None else {}
        down = sorted(lane for lane, up in lanes.items() if not up)
        if down:
            to_do = "the other lanes carry everything; repair these: docs/operations.md#redis-lanes"
            return Finding("redis", WARNING, f"{len(down)} of {len(lanes)} lanes do not work: {', '.join(down)}", to_do)
        return Finding("redis", OK, "the api is ready, so it reaches Redis")
    return Finding("redis", FAILURE, ready.reason, "make status, and the logs of redis and the api: make logs")


def _shards(ready: Ready) -> Iterator[Finding]:
    down = ready.shards_down
    if ready.reason is not None:
        yield Finding("shards", NOT_SEEN, "the api is not ready")
    elif down:
        to_do = "is the shard running, and a worker? make status; make logs NAMES=shard-" + down[0]
        yield Finding("shards", FAILURE, f"{len(down)} of {len(ready.shards)} do not answer: {', '.join(down)}", to_do)
    else:
        yield Finding("shards", OK, f"all {len(ready.shards)} answer, each through a worker")


def _token(kv: Client) -> Iterator[Finding]:
    try:
        kv.read(["tarantkv:doctor"])
    except ForbiddenError:
        yield Finding("token", OK, "valid, without the scope read")
    except NotAllowedError as error:
        yield Finding("token", WARNING, error.detail, "tarantkv login")
    except TarantKVError as error:
        yield Finding("token", NOT_SEEN, error.detail)
    else:
        yield Finding("token", OK, "valid, and a read succeeds")


def _metrics(samples: Samples | None) -> Iterator[Finding]:
    if samples is None:
        text = "the api does not show its metrics here"
        yield Finding("limits", NOT_SEEN, text, "ask the api itself, not a proxy in front of it")
        return
    used = samples.by("shard", "tarantkv_shard_memory_used_bytes")
    limit = samples.by("shard", "tarantkv_shard_memory_limit_bytes")
    shares = {shard: 100 * size / limit[shard] for shard, size in used.items() if limit.get(shard)}
    for shard, share in shares.items():
        if share >= FULL_PERCENT:
            to_do = "raise TARANTKV_SHARD_MEMORY_MIB and restart the shard"
            yield Finding("memory", WARNING, f"shard {shard} is {share:.0f} % full", to_do)
    if shares and max(shares.values()) < FULL_PERCENT:
        yield Finding("memory", OK, f"the fullest shard is {max(shares.values()):.0f} % full")
    late = {shard: lag for shard, lag in samples.by("shard", "tarantkv_expiry_lag_seconds").items() if lag > LAG_S}
    for shard, lag in late.items():
        to_do = "vary the ttls of keys that are written together: docs/operations.md#keys-that-expire"
        yield Finding("expiry", WARNING, f"shard {shard} is {lag:.0f} s behind with removing expired keys", to_do)
    if not late:
        yield Finding("expiry", OK, "no shard is behind with removing expired keys")
    yield _refusals(samples)


def _refusals(samples: Samples) -> Finding:
    refused: dict[str, float] = {}
    for sample in samples.of("tarantkv_chunk_outcomes_total"):
        if sample.labels.get("status") in ("no_memory", "refused", "read_only") and sample.value:
            shard = sample.labels.get("shard", "")
            refused[shard] = refused.get(shard, 0) + sample.value
    if not refused:
        return Finding("disk", OK, "no shard has refused a change since the api started; free space is unknown")
    names = ", ".join(f"{shard} {count:.0f} times" for shard, count in sorted(refused.items()))
    to_do = "look for free disk space (df) and memory on its machine: docs/operations.md#shards"
    return Finding("disk", WARNING, f"shards have refused changes since the api started: {names}", to_do)


COMMANDS: dict[str, Callable[[Namespace], int]] = {"doctor": run}
