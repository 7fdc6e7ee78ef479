"""Moves buckets until each shard has its share: one after the other and paced, with progress, and a stop at any time.

Every bucket is where it was or where it goes to, whenever this is stopped: vshard settles the one that is on its way.
What is left to do is planned anew from what the shards have, so that an interrupted run is simply made again.
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
"""After each move nothing moves for so many times as long as it took: the shards serve requests meanwhile."""

LEAST_REST_S = 0.02
LONGEST_REST_S = 1.0

FIRST_WAIT_S, LAST_WAIT_S = 0.5, 5.0
"""Waits after a move that failed, with jitter."""

MOST_FAILURES = 20
"""So many in a row end the run."""

SETTLE_S = 60.0
"""How long buckets may pass that an earlier run has left on their way."""

AWAY_S = 10.0
"""An instance that is away for less does not end a run before it begins: where a machine is busy, one that has just
started may be silent for a moment."""

_LOOK_S = 0.2


class MovesError(Exception):
    """The run has ended before its time; the text says why, and what to do."""


class Shards(Protocol):
    """The replica sets."""

    @property
    def names(self) -> Sequence[str]:
        """All of them."""

    def faults(self) -> list[str]:
        """What keeps buckets from moving."""

    def buckets(self, name: str) -> Buckets:
        """The buckets of one."""

    def send(self, bucket: int, source: str, target: str) -> None:
        """Move one bucket."""


def move_all(
    shards: Shards,
    weights: Mapping[str, float],
    bucket_count: int,
    stop: Stop,
    report: Callable[[Progress], None],
) -> bool:
    """Move buckets until each shard has its share by `weights`; False if `stop` was set before.

    Refuses to begin, and waits in between, while a replica is away: a bucket that leaves waits for all replicas of its
    shard, and takes no changes meanwhile.

    Raises:
        MovesError: a replica is away at the start, moves fail again and again, or the map is not whole in the end.
        PlanError: the buckets cannot be divided so.
    """
    faults = _faults_that_stay(shards, stop)
    if faults:
        raise MovesError("no bucket is moved while an instance is away: " + "; ".join(faults))
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
        raise MovesError("somebody else has moved buckets at the same time: run this again")
    return True


def settled(shards: Shards, bucket_count: int, stop: Stop) -> dict[str, Sequence[int]] | None:
    """The buckets of each shard once none of them passes and every one is there exactly once; None if stopped.

    Raises:
        MovesError: that does not come about in time.
    """
    ends = time.monotonic() + SETTLE_S
    while True:
        try:
            said = {name: shards.buckets(name) for name in shards.names}
            fault = _fault({name: each.owned for name, each in said.items()}, bucket_count)
            passing = sorted(bucket for each in said.values() for bucket in each.passing)
            if passing:
                fault = f"{len(passing)} buckets are on their way, the first of them bucket {passing[0]}"
        except StorageError as error:
            said, fault = {}, str(error)
        if fault is None:
            return {name: each.owned for name, each in said.items()}
        if time.monotonic() > ends:
            raise MovesError(f"the map of buckets is not whole: {fault}")
        if stop.wait(_LOOK_S):
            return None


def _faults_that_stay(shards: Shards, stop: Stop) -> list[str]:
    """What keeps buckets from moving, and does so for a while."""
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
        return f"bucket {twice} is owned twice"
    missing = sorted(set(range(1, bucket_count + 1)).difference(every))
    if not missing:
        return f"there are {len(every)} buckets, of {bucket_count}"
    return f"nobody owns {len(missing)} buckets, the first of them bucket {missing[0]}"


def _send(shards: Shards, bucket: int, source: str, target: str, stop: Stop) -> bool:
    """Move one bucket, however often that fails within reason, and rest; False if stopped."""
    wait_s = FIRST_WAIT_S
    for failures in range(MOST_FAILURES + 1):
        if stop.is_set():
            return False
        began = time.monotonic()
        try:
            if failures and bucket in shards.buckets(target).owned:
                # It was the answer that was lost.
                return True
            shards.send(bucket, source, target)
        except StorageError as error:
            if failures == MOST_FAILURES:
                reasons = [str(error), *shards.faults()]
                raise MovesError("buckets do not move: " + "; ".join(reasons) + "; run this again later") from error
            if stop.wait(random.uniform(wait_s / 2, wait_s)):  # noqa: S311 - jitter is no secret
                return False
            wait_s = min(LAST_WAIT_S, 2 * wait_s)
        else:
            rest_s = min(LONGEST_REST_S, max(LEAST_REST_S, REST * (time.monotonic() - began)))
            stop.wait(rest_s)
            return True
    raise AssertionError("the last failure has ended the run")
