"""The shard to which the tests send damaged chunks, and a model of its expected data."""

import time
from pathlib import Path
from typing import Any

import google_crc32c

from localcluster.cluster import Cluster
from protocol.frames import Chunk
from protocol.settings import StoreSettings
from tests.integration.processes import ShardProcess
from tests.integration.store import Console
from worker.shard import Shard

KEPT_TUPLES = 200
# Of keys without version and expiry.
_DIGEST = """
    local sums = {}
    for _, space in ipairs({'kv', 'claims', 'users', 'revoked', 'identity', '_space', '_user', '_priv', '_func'}) do
        local sum, count = 0, 0
        for _, tuple in box.space[space]:pairs() do
            local bytes = require('msgpack').encode(tuple)
            if space == 'kv' then
                bytes = '\\x93' .. bytes:sub(2, #bytes - 9 * (#tuple - 3))
            end
            sum = (sum + require('digest').crc32(bytes)) % 4294967296
            count = count + 1
        end
        sums[space] = {count, sum}
    end
    return sums
"""


class Target:
    """A separate shard, and its expected data."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self._cluster = cluster
        self._directory = directory
        self._console = Console(directory / "console")
        self.model: dict[bytes, bytes] = {}
        """The written tuples by key, without version and expiry."""
        self.expiring: set[bytes] = set()
        """The keys that were written with an expiry, and may have expired."""

    def start(self) -> ShardProcess:
        process = ShardProcess(
            self._cluster, self._directory, {"TARANTKV_SHARD_CONSOLE": str(self._directory / "console")}
        )
        process.__enter__()
        # No key may expire while the contents are compared.
        self._console.run("require('tarantkv.expiry').sweep = function() return 0 end")
        self._console.run("require('tarantkv.sweep').slice = function() end")
        host, port = process.address.split(":")
        settings = self._cluster.settings
        store = StoreSettings(
            store_user=settings.get("TARANTKV_STORE_USER", "tarantkv"),
            store_password=settings["TARANTKV_STORE_PASSWORD"],
        )
        self.shard = Shard("s1", [(host, int(port))], store, 10.0)
        return process

    def run(self, operation: int, body: bytes) -> tuple[int, Any]:
        """Call the shard with one chunk, as a worker does."""
        ((status, payload),) = self.shard.apply([chunk(operation, body)])
        return status, payload

    def sums(self) -> dict[str, tuple[int, int]]:
        """Number and checksum of the tuples of each space."""
        if len(self.model) > KEPT_TUPLES:
            self.forget()
        return {space: (count, total) for space, (count, total) in self._console.run(_DIGEST).items()}

    def forget(self) -> None:
        """Empty the shard and the model."""
        self._console.run("box.space.kv:truncate()")
        self.model.clear()
        self.expiring.clear()

    def assert_as_modelled(self) -> None:
        """Fail unless the shard has the data of the model."""
        total = sum(google_crc32c.value(stored) ^ 0xFFFFFFFF for stored in self.model.values()) % 2**32
        assert self.sums()["kv"] == (len(self.model), total)


def chunk(operation: int, body: bytes) -> Chunk:
    """A chunk with a new id."""
    number = next(_numbers)
    return Chunk(number.to_bytes(16, "big"), operation, int(time.time() * 1000) + 20_000, 0, 1, body)


_numbers = iter(range(1, 2**62))
