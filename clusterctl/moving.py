"""Moves buckets until each shard has its share: one at a time, with pauses, and reports progress.

A run can be stopped at any time. Each bucket is then at its source or at its target: vshard finishes or undoes the move
of the last one. A new run plans again from what the shards own, so it continues an interrupted one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from clusterctl.rebalance import Progress, moves
from clusterctl.storages import Buckets, StorageError
from protocol.stopping import Stop

REST = 1.0
"""The pause after a move, as a multiple of the move's duration: the shards then serve requests undisturbed."""

LEAST_REST_S = 0.02
LONGEST_REST_S = 1.0

FIRST_WAIT_S, LAST_WAIT_S = 0.5, 5.0
"""The first and the longest wait after a move that failed; each is shortened by jitter."""

MOST_FAILURES = 20
"""How often the move of one bucket is tried again before the run ends."""

SETTLE_S = 60.0
"""How long to wait until vshard has settled buckets whose move an earlier run left unfinished."""

AWAY_S = 10.0
"""How long a run waits at its start for an instance that is down. On a busy machine, an instance that has just started
may not answer at once."""

_LOOK_S = 0.2


class MovesError(Exception):
    """The run has ended before all buckets were moved; the text says why, and what to do."""


class Shards(Protocol):
    """The replica sets."""

    @property
    def names(self) -> Sequence[str]:
        """The names of all replica sets."""

    def faults(self) -> list[str]:
        """What keeps buckets from moving."""

    def buckets(self, name: str) -> Buckets:
        """The buckets of one replica set."""

    def send(self, bucket: int, source: str, target: str) -> None:
        """Move one bucket."""


def move_all(
    shards: Shards,
    weights: Mapping[str, float],
    bucket_count: int,
    stop: Stop,
    report: Callable[[Progress], None],
) -> bool:
    """Move buckets until each shard has its share by `weights`. False if `stop` ended that early.

    A run does not start while an instance is down, and pauses if one goes down later: a bucket can only leave when all
    replicas of its shard answer, and takes no changes until then.

    Raises:
        MovesError: an instance is down at the start, a move keeps failing, or a bucket has no owner or two of them.
        PlanError: the buckets cannot be divided by these weights.
    """
    faults = _faults_that_stay(shards, stop)
    if faults:
        raise MovesError("buckets cannot be moved while an instance is down: " + "; ".join(faults))
    owned = settled(shards, bucket_count, stop)
    if owned is None:
        return False
    planned = moves(owned, weights)
    progress = Progress.of(planned, time.monotonic())
    report(progress)
    for move in planned:
        if not _send(shards, move.bucket, move.source, move.target, stop):
            return False
        progress.moved(time.monotonic(), move)
        report(progress)
    after = settled(shards, bucket_count, stop)
    if after is None:
        return False
    if moves(after, weights):
        raise MovesError("another run has moved buckets at the same time: run this again")
    return True


def settled(shards: Shards, bucket_count: int, stop: Stop) -> dict[str, Sequence[int]] | None:
    """Wait until no bucket moves and each has exactly one owner; returns the buckets of each shard, None if stopped.

    Raises:
        MovesError: that takes longer than `SETTLE_S`.
    """
    ends = time.monotonic() + SETTLE_S
    while True:
        try:
            said = {name: shards.buckets(name) for name in shards.names}
            fault = _fault({name: each.owned for name, each in said.items()}, bucket_count)
            passing = sorted(bucket for each in said.values() for bucket in each.passing)
            if passing:
                fault = f"{len(passing)} buckets are still moving, the first of them bucket {passing[0]}"
        except StorageError as error:
            said, fault = {}, str(error)
        if fault is None:
            return {name: each.owned for name, each in said.items()}
        if time.monotonic() > ends:
            raise MovesError(f"the map of buckets is inconsistent: {fault}")
        if stop.wait(_LOOK_S):
            return None


def _faults_that_stay(shards: Shards, stop: Stop) -> list[str]:
    """The faults that keep buckets from moving and last longer than `AWAY_S`."""
    ends = time.monotonic() + AWAY_S
    while (faults := shards.faults()) and time.monotonic() < ends:
        if stop.wait(_LOOK_S):
            break
    return faults


def _fault(owned: Mapping[str, Sequence[int]], bucket_count: int) -> str | None:
    every = sorted(bucket for buckets in owned.values() for bucket in buckets)
    if every == list(range(1, bucket_count + 1)):
        return None
    twice = next((first for first, second in pairwise(every) if first == second), None)
    if twice is not None:
        return f"two shards own bucket {twice}"
    missing = sorted(set(range(1, bucket_count + 1)).difference(every))
    if not missing:
        return f"the shards own {len(every)} buckets instead of {bucket_count}"
    return f"no shard owns {len(missing)} of the buckets, the first of them bucket {missing[0]}"


def _send(shards: Shards, bucket: int, source: str, target: str, stop: Stop) -> bool:
    """Move one bucket, with up to `MOST_FAILURES` repetitions, then pause. False if stopped."""
    wait_s = FIRST_WAIT_S
    for failures in range(MOST_FAILURES + 1):
        if stop.is_set():
            return False
        began = time.monotonic()
        try:
            if failures and bucket in shards.buckets(target).owned:
                # The last try did move the bucket; only its answer was lost.
                return True
            shards.send(bucket, source, target)
        except StorageError as error:
            if failures == MOST_FAILURES:
                reasons = [str(error), *shards.faults()]
                raise MovesError("a move keeps failing: " + "; ".join(reasons) + "; run this again later") from error
            if stop.wait(random.uniform(wait_s / 2, wait_s)):  # noqa: S311 - jitter is no secret
                return False
            wait_s = min(LAST_WAIT_S, 2 * wait_s)
        else:
            rest_s = min(LONGEST_REST_S, max(LEAST_REST_S, REST * (time.monotonic() - began)))
            stop.wait(rest_s)
            return True
    raise AssertionError("the last failure has ended the run")
