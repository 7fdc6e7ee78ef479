"""No test may leave keys behind in Redis: every key has an owner that renews it, or an expiry.

The streams of the shards have no expiry and must be empty; every other key must expire by itself. The system also must
not have sent commands for which its Redis users lack the rights.
"""

import time

import redis

from localcluster.cluster import Cluster
from protocol.names import shard_stream
from tests.redis_client import as_tarantkv

SETTLE_S = 5.0
"""An abandoned frame is deleted with its api's next round trip, and a delayed worker must catch up."""

_NO_EXPIRY = -1
_POLL_S = 0.05


def check(cluster: Cluster) -> None:
    """Fail if a key was left behind, or a command refused."""
    refused = refusals(cluster)
    assert not refused, f"refused by Redis: {', '.join(refused)}"
    end = time.monotonic() + SETTLE_S
    while found := left_behind(cluster):
        assert time.monotonic() < end, f"left behind in Redis: {', '.join(found)}"
        time.sleep(_POLL_S)


def refusals(cluster: Cluster) -> list[str]:
    """The commands that Redis refused for lack of rights since it started."""
    with as_tarantkv(cluster) as client:
        log = client.acl_log()
    return [f"{entry['username']}: {entry['object']}" for entry in log if entry["reason"] in ("command", "key")]


def left_behind(cluster: Cluster) -> list[str]:
    """The keys that break the rule, each with the reason."""
    streams = {shard_stream(shard.name) for shard in cluster.config.shards}
    with as_tarantkv(cluster) as client:
        return [reason for name in sorted(client.scan_iter()) if (reason := _fault(client, name.decode(), streams))]


def _fault(client: redis.Redis, name: str, streams: set[str]) -> str:
    if name in streams:
        length = client.xlen(name)
        return f"{length} entries of {name}" if length else ""
    return f"{name} without expiry" if client.ttl(name) == _NO_EXPIRY else ""
