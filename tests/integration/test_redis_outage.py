"""An outage of Redis of so many attempts that a back-off without a limit would overflow."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from api.ops.metrics import Metrics
from api.queue import reply_reader as reader_module
from api.queue import sender as sender_module
from api.queue.dispatcher import Dispatcher
from localcluster import programs
from localcluster.cluster import Cluster
from protocol import redis_wire
from protocol.clock import now_ms
from protocol.frames import Chunk
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings, ClusterSettings, StoreSettings, WorkerSettings, load, parse_shards
from tests.integration.redis_server import RedisServer
from worker import loop as loop_module
from worker.__main__ import Worker

TRIES = 1100
"""The 1,024th doubling of a float overflows."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each kind of connection was attempted; the waits between attempts are short."""
    for module in (sender_module, reader_module, loop_module):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 0.0001)
        monkeypatch.setattr(module, "LAST_WAIT_S", 0.001)
    counted: Counter[str] = Counter()
    for kind, connect in ((redis_wire.Wire, "connect"), (redis_wire.AsyncWire, "_connect")):
        usual = getattr(kind, connect)

        def counting(self: object, usual: Callable[[object], object] = usual) -> object:
            counted[f"{type(self).__name__} {threading.current_thread().name}"] += 1
            return usual(self)

        monkeypatch.setattr(kind, connect, counting)
    return counted


@pytest.fixture
def worker(cluster: Cluster, server: RedisServer) -> Iterator[Worker]:
    """A worker of the cluster's shards, on the test's own Redis."""
    settings = programs.settings_for(cluster.config, "worker")
    seeds = parse_shards(load(ClusterSettings, settings).shards)
    made = Worker(seeds, server.settings, load(StoreSettings, settings), WorkerSettings())
    made.start(seeds)
    yield made
    assert made.drain(30)


async def described(dispatcher: Dispatcher, shard: str) -> int:
    """The status of a question to a shard."""
    body = msgspec.msgpack.encode([])
    chunk = Chunk(dispatcher.ids.next(), Operation.DESCRIBE, now_ms() + 20_000, 0, 1, body)
    (outcome,) = await dispatcher.dispatch([(shard, chunk)])
    return outcome.status


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(50):
        while not condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


def test_api_and_worker_recover_by_themselves_after_any_number_of_attempts(
    cluster: Cluster, server: RedisServer, tries: Counter[str], worker: Worker
) -> None:
    shard = cluster.config.shards[0].name

    async def scenario() -> None:
        dispatcher = Dispatcher(server.settings, BatchSettings(), [shard], Metrics())
        failed = dispatcher.start()
        assert await described(dispatcher, shard) == Status.OK
        server.stop()
        tries.clear()
        await until(lambda: tries["AsyncWire MainThread"] > 2 * TRIES and tries[f"Wire shard-{shard}"] > TRIES)
        assert not failed.done()
        assert all(loop.is_alive() for loop in worker.loops)
        waiting = asyncio.create_task(described(dispatcher, shard))
        server.start()
        assert await waiting == Status.OK
        await dispatcher.stop()

    asyncio.run(scenario())
