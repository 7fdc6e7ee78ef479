"""A shard's stream on the Redis that is installed here, of whatever version, beside the streams of the system."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import redis

from localcluster import programs
from localcluster.cluster import Cluster
from protocol.frames import VERSION
from protocol.names import FIELD, GROUP, shard_stream, shard_workers
from protocol.redis_wire import Wire
from protocol.settings import RedisSettings, load
from worker.stream import Answers, Entry, ShardStream

Join = Callable[[str], ShardStream]


@pytest.fixture
def client(cluster: Cluster) -> Iterator[redis.Redis]:
    settings = load(RedisSettings, cluster.settings)
    client = redis.Redis.from_url(
        settings.redis_url, username=settings.redis_user, password=settings.redis_password, protocol=2
    )
    yield client
    client.close()


def redis_settings(cluster: Cluster) -> RedisSettings:
    """As a worker logs in, with a worker's rights."""
    return load(RedisSettings, programs.settings_for(cluster.config, "worker"))


@pytest.fixture
def shard() -> str:
    return f"of-no-shard-{uuid4().hex}"


@pytest.fixture
def join(cluster: Cluster, client: redis.Redis, shard: str) -> Iterator[Join]:
    """Makes a consumer of the group, to which every frame counts as left unanswered at once."""
    wires: list[Wire] = []

    def join(consumer: str) -> ShardStream:
        wires.append(Wire(redis_settings(cluster), name="test"))
        stream = ShardStream(wires[-1], shard, consumer, count=10, claim_idle_ms=0)
        stream.ensure_group()
        return stream

    yield join
    for wire in wires:
        wire.close()
    client.delete(shard_stream(shard), shard_workers(shard, VERSION))


def append(client: redis.Redis, shard: str, *frames: bytes) -> list[bytes]:
    return [client.xadd(shard_stream(shard), {FIELD: frame}) for frame in frames]  # type: ignore[misc]


def pending(client: redis.Redis, shard: str) -> int:
    return int(client.xpending(shard_stream(shard), GROUP)["pending"])


def test_what_a_peer_left_is_taken_over_and_nothing_of_it_stays(client: redis.Redis, shard: str, join: Join) -> None:
    """One of the frames was deleted meanwhile, as the api does with those that nobody waits for any more."""
    peer, stream = join("peer"), join("me")
    first, deleted, last = append(client, shard, b"a", b"b", b"c")
    assert len(peer.exchange(Answers(), block=False)) == 3
    client.xdel(shard_stream(shard), deleted)
    taken = stream.take_over()
    assert [entry for entry in taken if entry.data is not None] == [Entry(first, b"a"), Entry(last, b"c")]
    assert not peer.keep([first])
    stream.answer(Answers(done=[entry.id for entry in taken]))
    assert pending(client, shard) == 0
    assert client.xlen(shard_stream(shard)) == 0


def test_a_consumer_leaves_only_with_nothing_pending(client: redis.Redis, shard: str, join: Join) -> None:
    stream = join("me")
    (entry,) = append(client, shard, b"a")
    assert stream.exchange(Answers(), block=False) == [Entry(entry, b"a")]
    stream.leave()
    assert pending(client, shard) == 1
    assert stream.keep([entry])
    stream.answer(Answers(done=[entry]))
    stream.leave()
    assert client.xinfo_consumers(shard_stream(shard), GROUP) == []


def test_those_who_said_lately_that_they_are_there_are_there(client: redis.Redis, shard: str, join: Join) -> None:
    """A worker that was there when the clock was set back would otherwise be there until it catches up."""
    seconds, _ = client.time()
    silent, ahead = (seconds - 10) * 1000, (seconds + 60) * 1000
    client.zadd(shard_workers(shard, VERSION), {"silent": silent, "ahead": ahead})
    me, peer = join("me"), join("peer")
    assert me.attend() == [b"me"]
    assert sorted(peer.attend()) == [b"me", b"peer"]
    assert client.ttl(shard_workers(shard, VERSION)) > 0
    peer.leave()
    assert me.attend() == [b"me"]


def test_workers_of_another_version_divide_the_shards_among_themselves(
    client: redis.Redis, shard: str, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise one that only refuses frames may be the only reader, while those who could work them stand by."""
    me = join("me")
    with monkeypatch.context() as patch:
        patch.setattr("worker.stream.VERSION", VERSION + 1)
        other = join("other")
    assert other.attend() == [b"other"]
    assert me.attend() == [b"me"]
    other.leave()
    assert not client.exists(shard_workers(shard, VERSION + 1))


def test_a_look_tells_how_long_the_first_frame_has_waited(client: redis.Redis, shard: str, join: Join) -> None:
    stream = join("me")
    assert stream.look(Answers()) == ([], 0)
    seconds, microseconds = client.time()
    now_ms = seconds * 1000 + microseconds // 1000
    client.xadd(shard_stream(shard), {FIELD: b"old"}, id=f"{now_ms - 700}-0")
    client.xadd(shard_stream(shard), {FIELD: b"new"}, id=f"{now_ms}-0")
    entries, waited_ms = stream.look(Answers())
    assert [entry.data for entry in entries] == [b"old", b"new"]
    assert 700 <= waited_ms < 700 + 5000
    stream.look(Answers(done=[entry.id for entry in entries]))
    assert client.xlen(shard_stream(shard)) == 0


def test_a_group_that_is_gone_is_made_again(client: redis.Redis, shard: str, join: Join) -> None:
    stream = join("me")
    client.delete(shard_stream(shard))
    assert stream.take_over() == []
    (entry,) = append(client, shard, b"a")
    assert stream.exchange(Answers(), block=False) == [Entry(entry, b"a")]
    client.xgroup_destroy(shard_stream(shard), GROUP)
    assert stream.exchange(Answers(), block=False) == []
    assert stream.exchange(Answers(), block=False) == [Entry(entry, b"a")]
