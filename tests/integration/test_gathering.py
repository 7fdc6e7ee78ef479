"""How chunks of many requests are gathered in frames, as seen in Redis' streams."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import redis

from api.ops.metrics import Metrics
from api.queue import sender as sender_module
from api.queue.dispatcher import Dispatcher
from localcluster import programs
from localcluster.cluster import Cluster
from protocol.clock import now_ms
from protocol.frames import Chunk, decode_frame
from protocol.names import FIELD, shard_stream
from protocol.operations import Operation
from protocol.settings import BatchSettings, RedisSettings, load

HANDLER_S = 0.0003
"""How long a handler works in a turn of the event loop; several fit into a round trip to Redis."""
SHARD = f"of-no-shard-{uuid4().hex}"


@pytest.fixture
def client(cluster: Cluster) -> Iterator[redis.Redis]:
    settings = load(RedisSettings, cluster.settings)
    client = redis.Redis.from_url(
        settings.redis_url, username=settings.redis_user, password=settings.redis_password, protocol=2
    )
    yield client
    client.delete(shard_stream(SHARD))
    client.close()


@asynccontextmanager
async def dispatching(cluster: Cluster) -> AsyncIterator[Dispatcher]:
    """A dispatcher of a shard without workers, so that the frames stay in its stream."""
    settings = load(RedisSettings, programs.settings_for(cluster.config, "api"))
    dispatcher = Dispatcher(settings, BatchSettings(), [SHARD], Metrics())
    dispatcher.start()
    try:
        async with asyncio.timeout(10):
            while not dispatcher.connected:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        yield dispatcher
    finally:
        await dispatcher.stop()


def request(dispatcher: Dispatcher) -> asyncio.Task[object]:
    chunk = Chunk(dispatcher.ids.next(), Operation.READ, now_ms() + 5000, 0, 1, b"")
    return asyncio.get_running_loop().create_task(dispatcher.dispatch([(SHARD, chunk)]))


async def frames(client: redis.Redis, chunks: int) -> list[int]:
    """The sizes of the frames in the stream, once they contain this many chunks."""
    async with asyncio.timeout(10):
        while True:
            entries = client.xrange(shard_stream(SHARD))
            sizes = [len(decode_frame(fields[FIELD]).chunks) for _, fields in entries]  # type: ignore[union-attr,index,arg-type]
            if sum(sizes) >= chunks:
                return sizes
            await asyncio.sleep(0.005)


def thirty_requests_one_turn_after_the_other(cluster: Cluster, client: redis.Redis) -> list[int]:
    """The sizes of the frames that carried them, after the frame of an earlier request that is still being appended."""

    async def scenario() -> list[int]:
        async with dispatching(cluster) as dispatcher:
            tasks = [request(dispatcher)]
            await frames(client, 1)
            for _ in range(30):
                tasks.append(request(dispatcher))
                time.sleep(HANDLER_S)  # noqa: ASYNC251 - work, not waiting
                await asyncio.sleep(0)
            sizes = await frames(client, 31)
        await asyncio.gather(*tasks)
        return sizes

    first, *others = asyncio.run(scenario())
    assert first == 1
    return others


def test_requests_of_consecutive_turns_share_a_frame_while_another_is_appended(
    cluster: Cluster, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "GATHER_S", 10.0)
    assert thirty_requests_one_turn_after_the_other(cluster, client) == [30]


def test_continuous_requests_do_not_delay_the_earlier_ones(cluster: Cluster, client: redis.Redis) -> None:
    assert len(thirty_requests_one_turn_after_the_other(cluster, client)) > 1


def test_a_single_chunk_is_sent_even_if_no_other_follows(cluster: Cluster, client: redis.Redis) -> None:
    async def scenario() -> list[int]:
        async with dispatching(cluster) as dispatcher:
            tasks = [request(dispatcher)]
            await frames(client, 1)
            tasks.append(request(dispatcher))
            sizes = await frames(client, 2)
        await asyncio.gather(*tasks)
        return sizes

    assert asyncio.run(scenario()) == [1, 1]
