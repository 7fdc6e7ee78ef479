"""Faults that produce a second or a late copy of a chunk, divided into the steps that a test needs.

`begin` makes the copy before the shard refuses changes. `while_refused` lets the shard get the chunk and refuse it.
`release` delivers the copy when the shard accepts changes again.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, Protocol

from localcluster.cluster import Cluster
from protocol.names import shard_stream
from tests.faults.injections_failover import FailedOver
from tests.faults.networked import Network
from tests.faults.processes import changes, in_hand, is_worker, reader, wait_for
from tests.faults.second_redis import administrator
from tests.redis_client import as_tarantkv

SHARD = "s1"


class Doubling(Protocol):
    """One such fault. Every step blocks until it is complete."""

    name: str

    def begin(self, cluster: Cluster) -> None:
        """Make the copy."""

    def while_refused(self, cluster: Cluster) -> None:
        """Let the shard get the chunk."""

    def release(self, cluster: Cluster) -> None:
        """Deliver the copy."""

    def end(self, cluster: Cluster) -> None:
        """Undo the rest of the fault."""


def changes_held_by(cluster: Cluster, program: str) -> bool:
    """Whether a worker was given a change that it has not reported."""
    with as_tarantkv(cluster) as client:
        entries = in_hand(client, SHARD, cluster.pid(program))
        return bool(changes(client, SHARD, entries))


def freeze_with_changes(cluster: Cluster, program: str) -> int:
    """Freeze a worker that was given a change; returns its process id. A worker that had only reads is frozen again."""
    pid = cluster.pid(program)

    def frozen_with_a_change() -> bool:
        os.kill(pid, signal.SIGSTOP)
        with suppress(AssertionError):
            wait_for(lambda: changes_held_by(cluster, program), "it was given no change", 0.3)
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    wait_for(frozen_with_a_change, "the worker was given no change")
    return pid


class _Frozen:
    """The base of several doublings: a worker is frozen with a frame in hand, and continues when it is released."""

    def __init__(self) -> None:
        self._program = ""
        self._pid = 0

    def begin(self, cluster: Cluster) -> None:
        """Freeze the worker that reads."""
        self._program = reader(cluster, SHARD)
        self._pid = freeze_with_changes(cluster, self._program)

    def release(self, cluster: Cluster) -> None:
        """Let it continue."""
        del cluster
        os.kill(self._pid, signal.SIGCONT)
        self._pid = 0

    def end(self, cluster: Cluster) -> None:
        """Let it continue, unless it does already."""
        if self._pid:
            self.release(cluster)


class FrozenWorker(_Frozen):
    """A worker freezes between its read and its call, and a peer takes its frames over."""

    name = "frozen-worker"

    def while_refused(self, cluster: Cluster) -> None:
        """Wait until the peer has reported."""
        wait_for(lambda: not changes_held_by(cluster, self._program), "nobody took over")


class SentAgain(_Frozen):
    """The same, but the api's connection breaks, so that the peer gets the chunk again in a new frame."""

    name = "sent-again"

    def while_refused(self, cluster: Cluster) -> None:
        """Kill the connection on which the api sends."""
        with administrator(cluster) as client:
            senders = [info["id"] for info in client.client_list() if info["name"] == "api-send"]
            for sender in senders:
                client.client_kill_filter(_id=sender)


class Emptied(_Frozen):
    """The same, but Redis loses its data on live connections."""

    name = "redis-emptied"

    def while_refused(self, cluster: Cluster) -> None:
        """Empty Redis."""
        with administrator(cluster) as client:
            client.flushall()


class SlowLink:
    """The bytes of a call stay on the link while the worker, or its peer if the worker is killed, calls again."""

    def __init__(self, network: Network, *, killed: bool) -> None:
        self.name = "killed-worker" if killed else "slow-link"
        self._link = network.worker_shard[SHARD]
        self._killed = killed
        self._program = ""

    def begin(self, cluster: Cluster) -> None:
        """Hold the bytes that are sent on the present connections, until a change is among them."""
        self._program = reader(cluster, SHARD)
        self._link.hold_requests()
        wait_for(lambda: self._holds_a_call(cluster), "the worker has not called the shard with a change")

    def _holds_a_call(self, cluster: Cluster) -> bool:
        return self._link.held > 0 and changes_held_by(cluster, self._program)

    def while_refused(self, cluster: Cluster) -> None:
        """Kill the worker, if that is the fault. Wait for another call on a connection that is not held."""
        pid = cluster.pid(self._program)
        if self._killed:
            cluster.kill(self._program)
            cluster.wait_ended(self._program, pid)
        with as_tarantkv(cluster) as client:
            wait_for(lambda: not changes(client, SHARD, in_hand(client, SHARD, pid)), "nobody reported")

    def release(self, cluster: Cluster) -> None:
        """Let the bytes arrive."""
        del cluster
        self._link.release()

    def end(self, cluster: Cluster) -> None:
        """Pass all bytes on."""
        del cluster
        self._link.release()


class OldFrames:
    """A replica that missed the report of a frame becomes the leader, and so the frame exists again."""

    name = "old-frames"

    def __init__(self, network: Network) -> None:
        self._failover = FailedOver(network)
        self._pids: list[int] = []

    def begin(self, cluster: Cluster) -> None:
        """Give a replica the frames that no worker has read yet, and nothing after that."""
        self._pids = [cluster.pid(status.name) for status in cluster.status() if is_worker(status.name)]
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)

        def waits() -> bool:
            with as_tarantkv(cluster) as client:
                entries: Any = client.xrange(shard_stream(SHARD))
                return bool(changes(client, SHARD, {entry_id for entry_id, _ in entries}))

        wait_for(waits, "no change waits in the stream")
        self._failover.cut_replica_off(cluster)

    def while_refused(self, cluster: Cluster) -> None:
        """Let the workers report the refusals."""
        self._wake()
        with as_tarantkv(cluster) as client:
            wait_for(lambda: not client.xlen(shard_stream(SHARD)) or not self._held(cluster), "nobody reported")

    def _held(self, cluster: Cluster) -> bool:
        return any(changes_held_by(cluster, status.name) for status in cluster.status() if is_worker(status.name))

    def release(self, cluster: Cluster) -> None:
        """Make the replica the leader."""
        self._failover.replace_leader(cluster)

    def end(self, cluster: Cluster) -> None:
        """Lead all clients back."""
        self._wake()
        self._failover.stop(cluster)

    def _wake(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGCONT)
        self._pids.clear()


def doublings(network: Network) -> dict[str, Doubling]:
    """One of each, by name."""
    every: tuple[Doubling, ...] = (
        FrozenWorker(),
        SentAgain(),
        Emptied(),
        SlowLink(network, killed=False),
        SlowLink(network, killed=True),
        OldFrames(network),
    )
    return {doubling.name: doubling for doubling in every}
