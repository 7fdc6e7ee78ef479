"""Learns to which cluster a worker's shards belong, before the worker reads its first frame.

The id is in the data of every shard, so that it is not copied with the settings. Shards without an id get one here:
only workers know from their own connections which shards belong together.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

from protocol.backoff import Backoff
from protocol.stopping import Stop
from worker.errors import ShardUnreachableError, WrongInstanceError
from worker.heartbeat import NONE, Heartbeat
from worker.shard import Shard

_log = logging.getLogger(__name__)

FIRST_WAIT_S, LAST_WAIT_S = 0.05, 1.0
"""Waits between rounds of questions."""

ID_BYTES = 16


def learn_cluster(shards: Sequence[Shard], stop: Stop, heartbeat: Heartbeat = NONE) -> str | None:
    """The id of the cluster to which all `shards` belong, 32 hexadecimal digits; None if `stop` is set first.

    One shard that knows the id is enough. If none does, all must be in reach: a shard out of reach may have one.

    Raises:
        WrongInstanceError: two shards belong to different clusters, or an instance to another shard.
    """
    backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
    waits = False
    while not stop.is_set():
        found, failures = _ask(shards, stop, heartbeat)
        known = {name: cluster for name, cluster in found.items() if cluster}
        if len(set(known.values())) > 1:
            said = ", ".join(f"{name} to {cluster}" for name, cluster in known.items())
            raise WrongInstanceError(f"TARANTKV_SHARDS names shards of different clusters: {said}")
        cluster = next(iter(known.values()), None)
        if cluster is None and not failures:
            cluster = _found_cluster(shards, failures)
        if cluster is not None:
            _join_all(shards, cluster, heartbeat)
            return cluster
        if not waits:
            _log.warning("waiting for the shards to say to which cluster they belong", extra={"reasons": failures})
            waits = True
        stop.wait(backoff.next_s())
    return None


def _ask(shards: Sequence[Shard], stop: Stop, heartbeat: Heartbeat) -> tuple[dict[str, str], list[str]]:
    """The answers of the shards in reach, and why the others are out of reach.

    It beats before each shard: a silent one takes the whole timeout of a call, and all of them together take longer
    than a heartbeat may be old, or than a worker may take to stop.
    """
    found: dict[str, str] = {}
    failures: list[str] = []
    for shard in shards:
        if stop.is_set():
            failures.append(f"{shard.name}: not asked, this worker was told to stop")
            break
        heartbeat.beat()
        try:
            shard.connect()
            found[shard.name] = shard.said_cluster
        except ShardUnreachableError as error:
            failures.append(f"{shard.name}: {error}")
    return found, failures


def _found_cluster(shards: Sequence[Shard], failures: list[str]) -> str | None:
    """Give the first shard an id, unless another worker was faster. All workers choose the first one by name."""
    try:
        return min(shards, key=lambda shard: shard.name).join(secrets.token_hex(ID_BYTES)) or None
    except ShardUnreachableError as error:
        failures.append(str(error))
        return None


def _join_all(shards: Sequence[Shard], cluster: str, heartbeat: Heartbeat) -> None:
    """Give the id to the shards in reach, and close the connections. Other shards join when their loop connects."""
    for shard in shards:
        heartbeat.beat()
        shard.cluster = cluster
        if shard.connected:
            try:
                shard.disconnect()
                shard.connect()
            except ShardUnreachableError as error:
                _log.warning("a shard has not joined the cluster", extra={"shard": shard.name, "error": str(error)})
            if shard.connected:
                shard.disconnect()
