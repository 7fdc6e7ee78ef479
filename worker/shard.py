"""A worker's connection to one shard: finds the leader among its instances and calls the storage procedure there.

The `tarantool` connector is synchronous and belongs to one thread. It treats strings as raw bytes here: answers hold
MessagePack, which is no text, and arguments then arrive as Lua strings in every version of Tarantool.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from typing import Any, cast

import msgpack
from tarantool import Connection
from tarantool.error import Error

from protocol.clock import now_ms
from protocol.frames import Chunk
from protocol.operations import Operation, Status
from protocol.settings import StoreSettings
from worker.errors import ShardUnreachableError, WrongInstanceError
from worker.iproto import CallRefusedError, Procedure

# Tarantool refuses these before the procedure runs: no such procedure, access denied, wrong credentials, still loading.
_NOT_EXECUTED = frozenset({33, 42, 47, 116})

# What the connector raises where an answer lost bytes on its way.
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, msgpack.UnpackException)

Address = tuple[str, int]

JOIN_WITHIN_MS = 12 * 60 * 60 * 1000


class Shard:
    """One shard as a worker's thread sees it."""

    def __init__(
        self,
        name: str,
        instances: Sequence[Address],
        settings: StoreSettings,
        timeout_s: float,
        cluster: str = "",
    ) -> None:
        self.name = name
        self.cluster = cluster
        """The cluster to which the shard must belong; empty: any."""
        self.said_cluster = ""
        """The cluster to which it said to belong when this worker last connected; empty: none yet."""
        self._instances = list(instances)
        """The instance to try first comes first."""
        self._settings = settings
        self._timeout_s = timeout_s
        self._procedure: Procedure | None = None

    @property
    def has_replicas(self) -> bool:
        """Whether another instance could be the leader."""
        return len(self._instances) > 1

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the leader, as far as is known."""
        return self._procedure is not None

    def connect(self) -> None:
        """Find the leader and connect to it, unless there is a connection.

        The search ends with the instances that failed last: they may be dead, and each would cost a timeout.

        Raises:
            ShardUnreachableError: no leader could be found.
            WrongInstanceError: an instance says that it belongs to another shard or cluster.
        """
        if self._procedure is None:
            self._find_leader()
            if self.cluster and not self.said_cluster:
                self._join_own()

    def apply(self, chunks: Sequence[Chunk]) -> list[tuple[int, Any]]:
        """Hand `chunks` to the leader in one call; returns `(status, payload)` for each, in order.

        Raises:
            ShardUnreachableError: no leader could be found, or it gave no answer in time.
            WrongInstanceError: an instance says that it belongs to another shard or cluster.
        """
        self.connect()
        procedure = cast("Procedure", self._procedure)
        try:
            answers: list[tuple[int, Any]] = procedure(chunks)
        except CallRefusedError as error:
            self.disconnect()
            raise ShardUnreachableError(str(error), sent=error.code not in _NOT_EXECUTED) from error
        except OSError as error:
            self.disconnect()
            raise ShardUnreachableError(_reason(error), sent=True) from error
        if not _are_answers(answers, len(chunks)):
            self.disconnect()
            raise ShardUnreachableError("an answer is damaged: it is not one status and payload a chunk", sent=True)
        return answers

    def disconnect(self) -> None:
        """Drop the connection after a failure; the next call searches for the leader, in this instance last."""
        if self._procedure is not None:
            self._procedure.close()
            self._procedure = None
            self._instances.append(self._instances.pop(0))

    def _find_leader(self) -> None:
        """Ask one instance after the other; the next search begins with those that answered this one."""
        reasons: list[str] = []
        answered: list[Address] = []
        silent: list[Address] = []
        for position, instance in enumerate(self._instances):
            host, port = instance
            address = f"{host}:{port}"
            try:
                connected = self._connect(host, port)
            except OSError as error:
                reasons.append(f"{address}: {_reason(error)}")
                silent.append(instance)
                continue
            try:
                if self._is_leader(connected, address):
                    self._procedure = Procedure(connected, "tarantkv.apply")
                    self._instances = [instance, *answered, *self._instances[position + 1 :], *silent]
                    return
            except (Error, OSError, *_NONSENSE) as error:
                reasons.append(f"{address}: {_reason(error)}")
                silent.append(instance)
            else:
                reasons.append(f"{address}: read-only")
                answered.append(instance)
            finally:
                if self._procedure is None:
                    connected.close()
        self._instances = answered + silent
        raise ShardUnreachableError("; ".join(reasons), sent=False)

    def _connect(self, host: str, port: int) -> socket.socket:
        connected = socket.create_connection((host, port), timeout=self._timeout_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def join(self, cluster: str) -> str:
        """Have the shard belong to `cluster` unless it belongs to one; returns the one to which it belongs then.

        That is none, an empty text, where the shard is read-only: it is asked again at the next connection.

        Raises:
            ShardUnreachableError: it gave no answer, or one that does not tell.
            WrongInstanceError: an instance says that it belongs to another shard or cluster.
        """
        # Late is better than never: no shard ever joins a second cluster.
        deadline_ms = now_ms() + JOIN_WITHIN_MS
        body = msgpack.packb([cluster])
        ((status, payload),) = self.apply([Chunk(secrets.token_bytes(16), Operation.JOIN, deadline_ms, 0, 1, body)])
        if status == Status.OK:
            self.said_cluster = msgpack.unpackb(payload)[0]
        elif status != Status.READ_ONLY:
            reason = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload)
            raise ShardUnreachableError(f"the shard joins no cluster: {reason}", sent=True)
        return self.said_cluster

    def _join_own(self) -> None:
        """Have a shard without a cluster join this worker's, before it is handed anything else."""
        try:
            self.join(self.cluster)
        except ShardUnreachableError as error:
            self.disconnect()
            raise ShardUnreachableError(str(error), sent=False) from error
        self._check_cluster(f"shard {self.name}")

    def _check_cluster(self, who: str) -> None:
        if self.cluster and self.said_cluster and self.said_cluster != self.cluster:
            raise WrongInstanceError(
                f"{who} belongs to cluster {self.said_cluster}, and this worker works for cluster {self.cluster}: "
                "TARANTKV_SHARDS names shards of two clusters"
            )

    def _is_leader(self, connected: socket.socket, address: str) -> bool:
        """Log in over the socket, and ask who answers there and whether it is the leader."""
        # The connector takes a descriptor over and closes it in the end: it gets one of its own.
        connection = Connection(
            None,
            None,
            socket_fd=os.dup(connected.fileno()),
            user=self._settings.store_user,
            password=self._settings.store_password,
            encoding=None,
            socket_timeout=self._timeout_s,
            reconnect_max_attempts=0,
            fetch_schema=False,
        )
        try:
            description = connection.call("tarantkv.describe")[0]
        finally:
            connection.close()
        shard = description[b"shard"].decode()
        if shard != self.name:
            raise WrongInstanceError(f"the instance at {address}, configured as shard {self.name}, says it is {shard}")
        self.said_cluster = (description.get(b"cluster") or b"").decode()
        self._check_cluster(f"the instance at {address}, shard {self.name},")
        # A shard of one instance has no other leader to look for: it answers itself that it is read-only.
        return not description[b"ro"] or not self.has_replicas


def _are_answers(answers: Any, count: int) -> bool:
    return (
        type(answers) is list
        and len(answers) == count
        and all(type(answer) is list and len(answer) == 2 and type(answer[0]) is int for answer in answers)
    )


def _reason(error: Exception) -> str:
    """The text of an error; a connector's holds bytes here, and often another error inside."""
    text = error.args[-1] if error.args else type(error).__name__
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
