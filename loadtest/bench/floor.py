"""The floor: the stored procedure alone, called with ready-made chunks, without HTTP and without a queue.

Each call is as full as a worker could make it while every connection has one batch waiting: it contains the chunks of
these batches for the shard, up to the number of keys that a worker puts into one call.
"""

from __future__ import annotations

import itertools
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson
from tarantool import Connection

from loadtest.bench import bodies as request_bodies
from loadtest.bench.load import Load, LoadError, percentiles
from loadtest.bench.plan import Combination, Operation
from loadtest.bench.values import Data
from protocol import settings as kv_settings
from protocol.buckets import bucket_of
from protocol.chunks import Row, key_bodies, slice_values, write_bodies
from protocol.frames import Chunk
from protocol.operations import Operation as ChunkOperation
from protocol.operations import Status

_DEADLINE_MS = 5000
_TIMEOUT_S = 15.0
_FILL_BATCH = 1000
_SAMPLE = 50
_MAX_BATCHES = 6000
_MAX_KEYS = 200_000
_KEYS_PER_CALL = 4000
_OPERATIONS = {"write": ChunkOperation.WRITE, "read": ChunkOperation.READ}


@dataclass(frozen=True)
class ReadyChunk:
    """A chunk's body and its keys."""

    keys: list[str]
    body: bytes


@dataclass
class Tally:
    """The counts of one shard's thread."""

    keys: int = 0
    failures: int = 0
    latencies_us: list[float] = field(default_factory=list)


class FloorDriver:
    """Calls every shard from a thread of its own, one call at a time, as a worker does."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._cluster = kv_settings.load(kv_settings.ClusterSettings, settings)
        self._store = kv_settings.load(kv_settings.StoreSettings, settings)
        shards = kv_settings.parse_shards(self._cluster.shards)
        self._connections = [self._connect(*instances[0]) for instances in shards.values()]
        self._owner = [0] * (self._cluster.bucket_count + 1)
        for index, connection in enumerate(self._connections):
            for first, last in connection.call("tarantkv.describe")[0][b"ranges"]:
                for bucket in range(first, last + 1):
                    self._owner[bucket] = index
        self._prefix = secrets.token_bytes(8)
        self._counter = itertools.count()

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()

    def run(self, combination: Combination, bodies: Path, seconds: float, position: int, rate: float) -> Load:
        """Call for some seconds."""
        if rate:
            raise LoadError("the floor takes no offered rate: its calls are always full")
        calls = self._calls(combination, bodies)
        barrier = threading.Barrier(len(calls))
        operation = _OPERATIONS[combination.operation]

        def call_shard(shard: int) -> Tally:
            tally = Tally()
            barrier.wait()
            end = time.perf_counter() + seconds
            for call in itertools.islice(itertools.cycle(calls[shard]), position % len(calls[shard]), None):
                began = time.perf_counter()
                if began > end:
                    break
                answers = self._apply(shard, operation, call)
                tally.latencies_us.append((time.perf_counter() - began) * 1e6)
                for chunk, (status, _) in zip(call, answers, strict=True):
                    tally.keys += len(chunk.keys)
                    tally.failures += status != Status.OK
            return tally

        cpu = time.process_time()
        began = time.perf_counter()
        tallies = self._on_every_shard(call_shard)
        took = time.perf_counter() - began
        latencies = [latency for tally in tallies for latency in tally.latencies_us]
        requests = sum(tally.keys for tally in tallies) // combination.batch
        return Load(
            requests=requests,
            sent=requests,
            seconds=took,
            generator_cpu_s=time.process_time() - cpu,
            latency_us=percentiles(latencies),
            max_us=max(latencies),
            errors={"status": sum(tally.failures for tally in tallies)},
        )

    def fill(self, data: Data) -> None:
        """Write every key once."""
        chunks = self._by_shard(
            (
                orjson.loads(request_bodies.body(data, "write", numbers))
                for numbers in request_bodies.batches(data, _FILL_BATCH)
            ),
            "write",
        )

        def write_all(shard: int) -> None:
            for chunk in chunks[shard]:
                ((status, payload),) = self._apply(shard, ChunkOperation.WRITE, [chunk])
                if status != Status.OK:
                    raise LoadError(f"a shard refused a chunk: {payload!r}")

        self._on_every_shard(write_all)

    def verify(self, data: Data) -> None:
        """Read a sample of the keys."""
        numbers = random.sample(range(data.count), min(_SAMPLE, data.count))
        expected = {data.key(number): data.value(number) for number in numbers}
        for shard, chunks in enumerate(self._by_shard([{"keys": list(expected)}], "read")):
            for chunk in chunks:
                ((status, payload),) = self._apply(shard, ChunkOperation.READ, [chunk])
                if status != Status.OK:
                    raise LoadError(f"a shard refused a read: {payload!r}")
                for key, value in zip(chunk.keys, slice_values(payload), strict=True):
                    if value is None or msgspec.msgpack.decode(value) != expected[key]:
                        raise LoadError(f"a wrong value of {key}: {value!r}")

    def _on_every_shard(self, work: Callable[[int], Any]) -> list[Any]:
        shards = range(len(self._connections))
        with ThreadPoolExecutor(len(shards)) as threads:
            return list(threads.map(work, shards))

    def _connect(self, host: str, port: int) -> Connection:
        return Connection(
            host,
            port,
            user=self._store.store_user,
            password=self._store.store_password,
            encoding=None,
            socket_timeout=_TIMEOUT_S,
            reconnect_max_attempts=0,
            fetch_schema=False,
        )

    def _apply(self, shard: int, operation: ChunkOperation, chunks: Sequence[ReadyChunk]) -> Any:
        deadline_ms = time.time_ns() // 1_000_000 + _DEADLINE_MS
        fresh = [Chunk(self._new_id(), int(operation), deadline_ms, 0, len(chunk.keys), chunk.body) for chunk in chunks]
        return self._connections[shard].call("tarantkv.apply", (fresh,))[0]

    def _new_id(self) -> bytes:
        return self._prefix + next(self._counter).to_bytes(8, "big")

    def _calls(self, combination: Combination, bodies: Path) -> list[list[list[ReadyChunk]]]:
        limit = min(_MAX_BATCHES, max(1, _MAX_KEYS // combination.batch))
        with bodies.open("rb") as file:
            chunks = self._by_shard(map(orjson.loads, itertools.islice(file, limit)), combination.operation)
        shards = len(self._connections)
        # The expected number of the waiting batches that have a chunk for a given shard.
        together = max(1, round(combination.connections * (1 - (1 - 1 / shards) ** combination.batch)))
        return [list(full_calls(of_shard, together)) for of_shard in chunks]

    def _by_shard(self, batches: Iterable[Mapping[str, Any]], operation: Operation) -> list[list[ReadyChunk]]:
        found: list[list[ReadyChunk]] = [[] for _ in self._connections]
        for batch in batches:
            rows: list[list[Row]] = [[] for _ in self._connections]
            for key in batch["data"] if operation == "write" else batch["keys"]:
                bucket = bucket_of(key.encode(), self._cluster.bucket_count)
                value = batch["data"][key] if operation == "write" else None
                rows[self._owner[bucket]].append((key, bucket, value))
            for shard, of_shard in enumerate(rows):
                if of_shard:
                    keys = [row[0] for row in of_shard]
                    cuts = (
                        write_bodies(of_shard)
                        if operation == "write"
                        else key_bodies(keys, [row[1] for row in of_shard])
                    )
                    found[shard] += [ReadyChunk(keys[start:end], body) for start, end, body in cuts]
        return found


def full_calls(chunks: Sequence[ReadyChunk], together: int) -> Iterator[list[ReadyChunk]]:
    """Group chunks into calls of `together` chunks each, or fewer if that would be too many keys."""
    call: list[ReadyChunk] = []
    keys = 0
    for chunk in chunks:
        if call and (len(call) == together or keys + len(chunk.keys) > _KEYS_PER_CALL):
            yield call
            call, keys = [], 0
        call.append(chunk)
        keys += len(chunk.keys)
    if call:
        yield call
