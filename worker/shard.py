"""A worker's connection to one shard: finds the leader among its instances and calls the storage procedure there.

The `tarantool` connector is synchronous and belongs to one thread. It treats strings as raw bytes here: answers contain
MessagePack, which is not text, and arguments then arrive as Lua strings in every version of Tarantool.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgpack
from tarantool import Connection
from tarantool.error import Error

from protocol.announced import Address, Shards
from protocol.clock import now_ms
from protocol.frames import Chunk
from protocol.operations import READS, Operation, Status
from protocol.settings import StoreSettings
from worker.answer_room import AnswerRoom
from worker.errors import ShardUnreachableError, WrongInstanceError
from worker.iproto import CallRefusedError, Procedure
from worker.leader import Found, LeaderSearch
from worker.time_limit import TimeLimit

# Tarantool refuses these before the procedure runs: no such procedure, access denied, wrong credentials, still loading.
_NOT_EXECUTED = frozenset({33, 42, 47, 116})

# What the connector raises if bytes of an answer were lost on the way.
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, msgpack.UnpackException)

# The types that a payload can have besides bytes.
_NO_BYTES = (int, type(None))

JOIN_WITHIN_MS = 12 * 60 * 60 * 1000


class Shard:
    """The connection of a worker's thread to one shard."""

    def __init__(
        self,
        name: str,
        instances: Sequence[Address],
        settings: StoreSettings,
        timeout_s: float,
        cluster: str = "",
        room: AnswerRoom | None = None,
    ) -> None:
        self.name = name
        self.cluster = cluster
        """The cluster to which the shard must belong; empty: any."""
        self.said_cluster = ""
        """The cluster to which the shard said it belongs when this worker last connected; empty: none yet."""
        self.said_shards: Shards | None = None
        """The shards that its leader announced when this worker last connected; None: it announced none."""
        self._settings = settings
        self._timeout_s = timeout_s
        self._leader: Address | None = None
        self._procedure: Procedure | None = None
        self._room = room or AnswerRoom()
        self._instances = self._announced = tuple(instances)
        self._search = LeaderSearch(self._instances, self._ask, timeout_s)

    @property
    def has_replicas(self) -> bool:
        """Whether another instance could be the leader."""
        return len(self._instances) > 1

    def readdress(self, instances: Sequence[Address]) -> None:
        """Search for the leader among these instances from the next call on; any thread may call this."""
        self._announced = tuple(instances)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the leader, as far as is known."""
        return self._procedure is not None

    def connect(self) -> None:
        """Find the leader and connect to it, unless there is a connection.

        Raises:
            ShardUnreachableError: no leader could be found.
            WrongInstanceError: an instance says that it belongs to another shard or cluster.
        """
        if self._announced != self._instances:
            self._instances = self._announced
            self._search = LeaderSearch(self._instances, self._ask, self._timeout_s)
            if self._leader not in self._instances:
                self.disconnect()
        if self._procedure is None:
            self._use(*self._search.find())
            if self.cluster and not self.said_cluster:
                self._join_own()

    def apply(self, chunks: Sequence[Chunk]) -> list[list[Any]]:
        """Send `chunks` to the leader in one call; returns `[status, payload]` for each, in order.

        Raises:
            ShardUnreachableError: no leader could be found, or it gave no answer in time.
            WrongInstanceError: an instance says that it belongs to another shard or cluster.
        """
        self.connect()
        procedure = cast("Procedure", self._procedure)
        try:
            answers = procedure(chunks, self._is_replaced if self.has_replicas else None)
        except CallRefusedError as error:
            self.disconnect()
            raise ShardUnreachableError(str(error), sent=error.code not in _NOT_EXECUTED) from error
        except TimeoutError as error:
            if procedure is self._procedure:
                self._search.avoid(cast("Address", self._leader))
                self.disconnect()
            raise ShardUnreachableError("no answer in time", sent=True) from error
        except OSError as error:
            self.disconnect()
            raise ShardUnreachableError(_reason(error), sent=True) from error
        if not _are_answers(answers, chunks):
            self.disconnect()
            raise ShardUnreachableError("an answer is damaged: it is not one status and payload a chunk", sent=True)
        return cast("list[list[Any]]", answers)

    def disconnect(self) -> None:
        """Close the connection after a failure; the next call searches for the leader."""
        self.free_room()
        if self._procedure is not None:
            self._procedure.close()
            self._procedure = None

    def free_room(self) -> None:
        """Record that no answer of this shard is held any more."""
        self._room.free(self)

    def _use(self, leader: Address, connected: socket.socket) -> None:
        self.disconnect()
        connected.settimeout(self._timeout_s)
        self._leader, self._procedure = leader, Procedure(connected, "tarantkv.apply", self._make_room)

    def _make_room(self, size: int) -> None:
        self._room.take(self, size)

    def _is_replaced(self) -> bool:
        """Whether another instance has become the leader while a call is silent; it is used from now on."""
        try:
            found = self._search.find(but=self._leader)
        except ShardUnreachableError:
            return False
        self._search.avoid(cast("Address", self._leader))
        self._use(*found)
        return True

    def _ask(self, instance: Address, within_s: float) -> Found:
        """Ask one instance whether it is the leader; several threads may call this at once."""
        ends = time.monotonic() + within_s
        address = f"{instance[0]}:{instance[1]}"
        try:
            connected = socket.create_connection(instance, timeout=within_s)
        except OSError as error:
            return Found(instance, None, _reason(error))
        found = Found(instance, None, "read-only")
        left_s = max(0.001, ends - time.monotonic())
        limit = TimeLimit(connected, left_s)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with limit:
                leads = self._is_leader(connected, address, left_s)
            if limit.reached:
                found = Found(instance, None, "no answer in time")
            elif leads:
                found = Found(instance, connected, "")
        except WrongInstanceError as error:
            found = Found(instance, None, str(error), error)
        except (Error, OSError, *_NONSENSE) as error:
            found = Found(instance, None, "no answer in time" if limit.reached else _reason(error))
        finally:
            if found.connected is None:
                connected.close()
        return found

    def join(self, cluster: str) -> str:
        """Make the shard join `cluster`, unless it belongs to one. Returns its cluster.

        That is an empty text if the shard is read-only, which is asked again at the next connection.

        Raises:
            ShardUnreachableError: it gave no answer, or one without a cluster.
            WrongInstanceError: an instance says that it belongs to another shard or cluster.
        """
        # This may be late: a shard never joins a second cluster, so it does no harm.
        deadline_ms = now_ms() + JOIN_WITHIN_MS
        body = msgpack.packb([cluster])
        ((status, payload),) = self.apply([Chunk(secrets.token_bytes(16), Operation.JOIN, deadline_ms, 0, 1, body)])
        if status == Status.OK:
            self.said_cluster = msgpack.unpackb(payload)[0]
        elif status != Status.READ_ONLY:
            reason = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload)
            raise ShardUnreachableError(f"the shard does not join a cluster: {reason}", sent=True)
        return self.said_cluster

    def _join_own(self) -> None:
        """Make a shard without a cluster join this worker's, before it gets anything else."""
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

    def _is_leader(self, connected: socket.socket, address: str, within_s: float) -> bool:
        """Log in over the socket, and ask which instance answers there and whether it is the leader."""
        # The connector takes over a descriptor and closes it in the end, so it gets a duplicate.
        connection = Connection(
            None,
            None,
            socket_fd=os.dup(connected.fileno()),
            user=self._settings.store_user,
            password=self._settings.store_password,
            encoding=None,
            socket_timeout=within_s,
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
        # A shard with one instance has no other leader: its own answers say that it is read-only.
        if description[b"ro"] and self.has_replicas:
            return False
        self.said_shards = _shards_in(description)
        return True


def _shards_in(description: Mapping[bytes, Any]) -> Shards | None:
    """The shards that a description announces.

    Raises:
        ValueError, TypeError, AttributeError: it has an unexpected form.
    """
    word = description.get(b"shards") or {}
    return {
        name.decode(): tuple((host.decode(), int(port)) for host, port in instances) for name, instances in word.items()
    } or None


def _are_answers(answers: Any, chunks: Sequence[Chunk]) -> bool:
    """Whether each chunk has a status and a payload, and each successful read has the bytes that it asked for.

    Other answers could not be reported, or would break the api.
    """
    if type(answers) is not list or len(answers) != len(chunks):
        return False
    for answer, chunk in zip(answers, chunks, strict=True):
        if type(answer) is not list or len(answer) != 2 or type(answer[0]) is not int:
            return False
        kind = type(answer[1])
        if kind is not bytes and (kind not in _NO_BYTES or (answer[0] == Status.OK and chunk.operation in READS)):
            return False
    return True


def _reason(error: Exception) -> str:
    """The text of an error; a connector's error contains bytes here, and often another error."""
    text = error.args[-1] if error.args else type(error).__name__
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
