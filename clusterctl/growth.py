"""Adds a shard to a running cluster, or drains one: its instances, the configuration and the buckets.

The membership records the change until it is done. After an interruption, the same command continues it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.request import ProxyHandler, build_opener

from clusterctl.changes import refuse_others, refuse_while_away, reload, storages, written
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_membership, remember
from clusterctl.membership import Membership
from clusterctl.moving import MovesError, move_all
from clusterctl.rebalance import Progress
from clusterctl.storages import StorageError
from clusterctl.telling import Telling
from localcluster.waiting import ClusterError, wait_until
from protocol.stopping import Stop

LEARN_S = 60.0
"""How long api processes may take to learn that a shard was added or removed; usually they need some seconds."""

LINGER_S = 15.0
"""How long a drained shard still answers after the api has removed it: a worker reads its stream for 10 s more."""

_SAY_EVERY_S = 5.0

Say = Callable[[str], None]


def add(cluster: ReplicatedCluster, stop: Stop, say: Say) -> bool:
    """Add a shard and move its share of the buckets to it. False if `stop` ended that early.

    Raises:
        ClusterError: the change has failed; the text says what to do.
    """
    membership = cluster.config.membership
    refuse_others(membership, "shard-add")
    refuse_while_away(cluster)
    if not membership.joining:
        name = f"s{membership.shards + 1}"
        membership = replace(membership, shards=membership.shards + 1, joining=name)
        say(f"Adding {name} ...")
    cluster = written(cluster, membership)
    cluster.supervise()
    reload(cluster)
    _wait_known(cluster, membership.joining, there=True)
    if not _move(cluster, stop, say):
        return False
    written(cluster, replace(membership, joining=""))
    return True


def drain(cluster: ReplicatedCluster, name: str, stop: Stop, say: Say) -> bool:
    """Move a shard's buckets to the other shards, then remove it. False if `stop` ended that early.

    The shard's data stays on disk.

    Raises:
        ClusterError: as `add`.
    """
    membership = cluster.config.membership
    names = [shard.name for shard in cluster.config.plan]
    refuse_others(membership, f"shard-drain NAME={name}")
    if name not in names:
        raise ClusterError(f"there is no shard {name}, there are {', '.join(names)}")
    if len(names) == 1:
        raise ClusterError(f"{name} is the only shard: no other shard can take its buckets")
    refuse_while_away(cluster)
    cluster = written(cluster, replace(membership, draining=name))
    if not _move(cluster, stop, say):
        return False
    without = replace(membership, draining="", gone=tuple(sorted({*membership.gone, name})))
    left = ReplicatedCluster(of_membership(cluster.config, without))
    left.write_configuration()
    reload(left)
    _wait_known(left, name, there=False)
    say(f"{name} has no buckets any more; its instances will be stopped in {LINGER_S:.0f} s")
    time.sleep(LINGER_S)
    remember(left.config)
    left.supervise()
    return True


def weights(membership: Membership, names: Sequence[str]) -> Mapping[str, float]:
    """Equal weights for all shards, 0 for one that is being drained."""
    return {name: 0.0 if name == membership.draining else 1.0 for name in names}


def _wait_known(cluster: ReplicatedCluster, name: str, *, there: bool) -> None:
    """Wait until `/health/ready` names a shard as one that answers; unless `there`, until it no longer names it."""

    def is_known() -> bool:
        ready = _ready(cluster)
        names = set(ready.get("shards", ())) - set(ready.get("shards_down", ()) if there else ())
        return bool(ready) and (name in names) == there

    change = "was added" if there else "was removed"
    failure = f"the api has not noticed within {LEARN_S:.0f} s that {name} {change}; run this again"
    wait_until(is_known, time.monotonic() + LEARN_S, lambda: failure)


def _ready(cluster: ReplicatedCluster) -> dict[str, Any]:
    try:
        with build_opener(ProxyHandler({})).open(f"{cluster.base_url}/health/ready", timeout=5) as answer:
            said: dict[str, Any] = json.load(answer)
    except (OSError, ValueError):
        return {}
    return said


def _move(cluster: ReplicatedCluster, stop: Stop, say: Say) -> bool:
    said_at = [float("-inf")]

    def report(progress: Progress) -> None:
        now = time.monotonic()
        if progress.done in (0, progress.total) or now - said_at[0] >= _SAY_EVERY_S:
            said_at[0] = now
            say(progress.line())
        telling.tell(progress)

    names = [shard.name for shard in cluster.config.plan]
    shards = storages(cluster)
    telling = Telling(shards)
    try:
        return move_all(shards, weights(cluster.config.membership, names), cluster.config.bucket_count, stop, report)
    except (MovesError, StorageError) as error:
        raise ClusterError(str(error)) from None
    finally:
        telling.end()
