"""A worker's connection to one shard: finds the leader of its instances and calls the storage procedure there.

The `tarantool` connector is synchronous and belongs to one thread. It is told to treat strings as raw bytes: answers
hold MessagePack, which is no text, and arguments then arrive as Lua strings in every version of Tarantool.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from tarantool import Connection
from tarantool.error import DatabaseError, Error

from protocol.frames import Chunk
from protocol.settings import StoreSettings
from worker.errors import ShardUnreachableError, WrongInstanceError

_log = logging.getLogger(__name__)

# Tarantool refuses these before the procedure runs: no such procedure, access denied, wrong credentials, still loading.
_NOT_EXECUTED = frozenset({33, 42, 47, 116})

Address = tuple[str, int]


class Shard:
    """One shard as a worker's thread sees it."""

    def __init__(self, name: str, instances: Sequence[Address], settings: StoreSettings, timeout_s: float) -> None:
        self.name = name
        self._instances = tuple(instances)
        self._settings = settings
        self._timeout_s = timeout_s
        self._connection: Connection | None = None

    @property
    def has_replicas(self) -> bool:
        """Whether another instance could be or become the leader."""
        return len(self._instances) > 1

    def apply(self, chunks: Sequence[Chunk]) -> list[tuple[int, Any]]:
        """Hand `chunks` to the leader in one call; returns `(status, payload)` for each, in order.

        Raises:
            ShardUnreachableError: no leader could be found, or it gave no answer in time.
            WrongInstanceError: an instance says that it belongs to another shard.
        """
        connection = self._connection or self._find_leader()
        try:
            # The connector takes a lone list for the whole argument list, so that one goes around it.
            answer: list[tuple[int, Any]] = connection.call("tarantkv.apply", (chunks,))[0]
        except DatabaseError as error:
            self.disconnect()
            raise ShardUnreachableError(_reason(error), sent=error.args[0] not in _NOT_EXECUTED) from error
        except (Error, OSError) as error:
            self.disconnect()
            raise ShardUnreachableError(_reason(error), sent=True) from error
        return answer

    def disconnect(self) -> None:
        """Drop the connection; the next call looks for the leader again."""
        if self._connection is not None:
            with contextlib.suppress(Error, OSError):
                self._connection.close()
            self._connection = None

    def _find_leader(self) -> Connection:
        reasons = []
        for host, port in self._instances:
            try:
                connection = self._connect(host, port)
            except (Error, OSError) as error:
                reasons.append(f"{host}:{port}: {_reason(error)}")
                continue
            if self._is_leader(connection, f"{host}:{port}"):
                self._connection = connection
                return connection
            connection.close()
            reasons.append(f"{host}:{port}: read-only")
        raise ShardUnreachableError("; ".join(reasons), sent=False)

    def _connect(self, host: str, port: int) -> Connection:
        return Connection(
            host,
            port,
            user=self._settings.store_user,
            password=self._settings.store_password,
            encoding=None,
            socket_timeout=self._timeout_s,
            connection_timeout=self._timeout_s,
            reconnect_max_attempts=0,
            connect_now=True,
            fetch_schema=False,
        )

    def _is_leader(self, connection: Connection, address: str) -> bool:
        try:
            description = connection.call("tarantkv.describe")[0]
            shard = description[b"shard"].decode()
            read_only = bool(description[b"ro"])
        except (Error, OSError, KeyError, TypeError, AttributeError) as error:
            connection.close()
            raise ShardUnreachableError(f"{address}: {_reason(error)}", sent=False) from error
        if shard != self.name:
            connection.close()
            raise WrongInstanceError(f"the instance at {address}, configured as shard {self.name}, says it is {shard}")
        # A shard of one instance has no other leader to look for: it answers itself that it is read-only.
        return not read_only or not self.has_replicas


def _reason(error: Exception) -> str:
    """The text of a connector's error, which holds bytes here, and often another error inside."""
    text = error.args[-1] if error.args else type(error).__name__
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
