"""The shards, through their admin consoles: what they store, how often they applied chunks, and faults in them."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from localcluster.cluster import Cluster
from protocol.buckets import bucket_of
from tests.contract.calls import TIMEOUT_S

_END = b"\n...\n"
_FILL = """
    local filler = box.schema.space.create('filler', {temporary = true})
    filler:create_index('number')
    local number = 0
    repeat
        local before, size = number, 1000000
        while size > 10 do
            while pcall(filler.insert, filler, {number + 1, string.rep('x', size)}) do
                number = number + 1
                if number % 16 == 0 then require('fiber').yield() end
            end
            size = math.floor(size * 0.9)
        end
        require('fiber').sleep(0.05)
    until number == before
"""
"""Fills memory with values of all sizes, as a deleted tuple leaves room for its own size only.

It yields to other calls meanwhile. Otherwise a worker would call again, and report the outcome as unknown.
"""


class Console:
    """One shard's admin console."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, lua: str) -> Any:
        """Run Lua code, which must return what JSON can express."""
        code = f"local function run() {lua} end return require('json').encode({{run()}})"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(self._path))
            connection.sendall(" ".join(code.split()).encode() + b"\n")
            said = b""
            while not said.endswith(_END):
                piece = connection.recv(65536)
                assert piece, said
                said += piece
        (answer,) = yaml.safe_load(said[said.index(b"---") :])
        assert isinstance(answer, str), answer
        values = json.loads(answer)
        return values[0] if values else None


class Store:
    """All shards of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.consoles = {shard.name: Console(cluster.console_socket(shard.name)) for shard in cluster.config.shards}

    def chunks_applied(self) -> int:
        """How many chunks were applied so far, on all shards."""
        return sum(int(console.run("return box.space.applications:len()")) for console in self.consoles.values())

    def most_applications(self) -> int:
        """The highest number of applications of any chunk: with more than 1, something is wrong."""
        lua = "local most = 0 for _, t in box.space.applications:pairs() do most = math.max(most, t[2]) end return most"
        return max(int(console.run(lua)) for console in self.consoles.values())

    def keys_on(self, shard: str, number: int, prefix: str) -> list[str]:
        """This many keys that belong to a shard."""
        said = self.consoles[shard].run("return tarantkv.describe()")
        ranges = said["ranges"]
        names = (f"{prefix}:{position}" for position in count())
        owned = (
            name
            for name in names
            if any(first <= bucket_of(name.encode(), said["bucket_count"]) <= last for first, last in ranges)
        )
        return [next(owned) for _ in range(number)]

    def holds(self, key: str) -> bool:
        """Whether any shard has the key."""
        lua = f"return box.space.kv:get({json.dumps(key)}) ~= nil"
        return any(console.run(lua) for console in self.consoles.values())

    @contextmanager
    def read_only(self, *shards: str) -> Iterator[None]:
        """Make shards refuse every change."""
        for shard in shards:
            self.consoles[shard].run("box.cfg({read_only = true})")
        try:
            yield
        finally:
            for shard in shards:
                self.consoles[shard].run("box.cfg({read_only = false})")

    @contextmanager
    def full(self, shard: str) -> Iterator[None]:
        """Leave a shard no memory for data. A temporary space fills it, which is not in the write-ahead log."""
        self.consoles[shard].run(_FILL)
        try:
            yield
        finally:
            self.consoles[shard].run("box.space.filler:drop()")

    @contextmanager
    def small_tuples(self, shard: str, size: int) -> Iterator[None]:
        """Let a shard refuse tuples of more bytes."""
        console = self.consoles[shard]
        usual = console.run("return box.cfg.memtx_max_tuple_size")
        console.run(f"box.cfg({{memtx_max_tuple_size = {size}}})")
        try:
            yield
        finally:
            console.run(f"box.cfg({{memtx_max_tuple_size = {usual}}})")
