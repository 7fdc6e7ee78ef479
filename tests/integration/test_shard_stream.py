"""A shard's stream on the installed Redis, whatever its version, besides the streams of the system."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import redis

from localcluster import programs
from localcluster.cluster import Cluster
from protocol.frames import VERSION
from protocol.names import FIELD, GROUP, REFUSED, shard_stream, shard_workers
from protocol.redis_wire import Wire
from protocol.settings import RedisSettings, load
from worker.group import Entry, Group
from worker.presence import Presence
from worker.stream import Report, ShardStream
from worker.takeover import TakeOver


@dataclass(frozen=True)
class Member:
    """A consumer of the group, for which every frame may be taken over at once."""

    group: Group
    stream: ShardStream
    takeover: TakeOver
    presence: Presence

    def read(self) -> list[Entry]:
        """The frames of one read that does not wait."""
        return list(self.stream.read(Report(), block=False).entries)

    def take_over(self) -> list[Entry]:
        """The frames that one step of a takeover claims."""
        return list(self.takeover.take_over().entries)

    def report(self, *done: bytes, sole: tuple[bytes, ...] = (), **other: Any) -> list[bytes]:
        """Report frames as finished; returns those that are shared."""
        report = Report(done=done, sole=sole, server=self.group.connect())._replace(**other)
        return list(self.stream.report(report))

    def renew(self, *entry_ids: bytes) -> list[bytes]:
        """Renew the claims on frames; returns the frames that are lost."""
        return list(self.takeover.renew(entry_ids, self.group.connect()))


Join = Callable[[str], Member]


@pytest.fixture
def client(cluster: Cluster) -> Iterator[redis.Redis]:
    settings = load(RedisSettings, cluster.settings)
    client = redis.Redis.from_url(
        settings.redis_url, username=settings.redis_user, password=settings.redis_password, protocol=2
    )
    yield client
    client.close()


def redis_settings(cluster: Cluster) -> RedisSettings:
    """A connection with a worker's rights."""
    return load(RedisSettings, programs.settings_for(cluster.config, "worker"))


@pytest.fixture
def shard() -> str:
    return f"of-no-shard-{uuid4().hex}"


@pytest.fixture
def reply_stream() -> str:
    return f"reply:{uuid4().hex}"


@pytest.fixture
def join(cluster: Cluster, client: redis.Redis, shard: str, reply_stream: str) -> Iterator[Join]:
    """Makes a consumer of the group."""
    wires: list[Wire] = []

    def join(consumer: str) -> Member:
        wires.append(Wire(redis_settings(cluster), name="test", identify=True))
        group = Group(wires[-1], shard, consumer)
        group.ensure()
        takeover = TakeOver(group, count=10, claim_idle_ms=0)
        return Member(group, ShardStream(group, count=10), takeover, Presence(group))

    yield join
    for wire in wires:
        wire.close()
    client.delete(shard_stream(shard), shard_workers(shard, VERSION), reply_stream)


def append(client: redis.Redis, shard: str, *frames: bytes) -> list[bytes]:
    return [client.xadd(shard_stream(shard), {FIELD: frame}) for frame in frames]  # type: ignore[misc]


def pending(client: redis.Redis, shard: str) -> int:
    return int(client.xpending(shard_stream(shard), GROUP)["pending"])


def test_all_frames_that_a_peer_left_are_taken_over(client: redis.Redis, shard: str, join: Join) -> None:
    """One of the frames was deleted meanwhile: the api deletes frames that no request waits for any more."""
    peer, me = join("peer"), join("me")
    first, deleted, last = append(client, shard, b"a", b"b", b"c")
    assert len(peer.read()) == 3
    client.xdel(shard_stream(shard), deleted)
    taken = me.take_over()
    assert [entry for entry in taken if entry.data is not None] == [Entry(first, b"a"), Entry(last, b"c")]
    assert peer.renew(first, last) == [first, last]
    assert me.renew(first, last) == []
    me.report(*(entry.id for entry in taken))
    assert pending(client, shard) == 0
    assert client.xlen(shard_stream(shard)) == 0


def test_a_lost_frame_claim_is_not_taken_back(client: redis.Redis, shard: str, join: Join) -> None:
    peer, me = join("peer"), join("me")
    mine, taken, gone = append(client, shard, b"a", b"b", b"c")
    assert len(me.read()) == 3
    client.xclaim(shard_stream(shard), GROUP, "peer", 0, [taken])
    client.xack(shard_stream(shard), GROUP, gone)
    assert me.renew(mine, taken, gone) == [taken, gone]
    assert peer.renew(taken) == []


def test_a_renewal_restarts_the_idle_time_and_does_not_count_as_a_delivery(
    client: redis.Redis, shard: str, join: Join
) -> None:
    me = join("me")
    (entry,) = append(client, shard, b"a")
    me.read()
    client.xclaim(shard_stream(shard), GROUP, "me", 0, [entry], idle=60_000, retrycount=1)
    assert me.renew(entry) == []
    states: Any = client.xpending_range(shard_stream(shard), GROUP, "-", "+", 10)
    assert [state["times_delivered"] for state in states] == [1]
    assert states[0]["time_since_delivered"] < 60_000


def test_a_refusal_is_reported_by_the_only_worker_that_had_its_frame(
    client: redis.Redis, shard: str, join: Join, reply_stream: str
) -> None:
    me = join("me")
    refused, plain = append(client, shard, b"a", b"b")
    me.read()
    replies = [(reply_stream, b"one"), (reply_stream, b"two")]
    assert me.report(refused, plain, sole=(refused,), replies=replies, refused=[(reply_stream, refused, "")]) == []
    assert pending(client, shard) == 0
    assert client.xlen(shard_stream(shard)) == 0
    replied: Any = client.xrange(reply_stream)
    assert [fields for _, fields in replied] == [
        {FIELD: b"one"},
        {FIELD: b"two"},
        {REFUSED: b"%b %b %d" % (shard.encode(), refused, VERSION)},
    ]
    assert client.ttl(reply_stream) > 0


@pytest.mark.parametrize("how", ["taken over", "taken over and given back", "deleted", "group gone"])
def test_a_refused_frame_that_another_worker_may_have_is_not_reported_or_deleted(
    client: redis.Redis, shard: str, join: Join, reply_stream: str, how: str
) -> None:
    me = join("me")
    shared, own = append(client, shard, b"a", b"b")
    me.read()
    stream = shard_stream(shard)
    match how:
        case "deleted":
            client.xack(stream, GROUP, shared)
        case "group gone":
            client.xgroup_destroy(stream, GROUP)
        case _:
            client.xclaim(stream, GROUP, "peer", 0, [shared])
            if how.endswith("back"):
                client.xclaim(stream, GROUP, "me", 0, [shared])
    expected = [shared, own] if how == "group gone" else [shared]
    assert me.report(shared, own, sole=(shared, own), replies=[(reply_stream, b"no")]) == expected
    assert client.xlen(stream) == 2
    assert not client.exists(reply_stream)


def test_a_consumer_is_removed_only_if_it_has_no_pending_frames(client: redis.Redis, shard: str, join: Join) -> None:
    me = join("me")
    (entry,) = append(client, shard, b"a")
    assert me.read() == [Entry(entry, b"a")]
    me.presence.leave()
    assert pending(client, shard) == 1
    assert me.renew(entry) == []
    me.report(entry)
    me.presence.leave()
    assert client.xinfo_consumers(shard_stream(shard), GROUP) == []


def test_workers_with_a_recent_announcement_are_present(client: redis.Redis, shard: str, join: Join) -> None:
    """Otherwise a worker that was present when the clock was set back would be present until the clock catches up."""
    seconds, _ = client.time()
    silent, ahead = (seconds - 10) * 1000, (seconds + 60) * 1000
    client.zadd(shard_workers(shard, VERSION), {"silent": silent, "ahead": ahead})
    me, peer = join("me"), join("peer")
    assert me.presence.announce() == [b"me"]
    assert sorted(peer.presence.announce()) == [b"me", b"peer"]
    assert client.ttl(shard_workers(shard, VERSION)) > 0
    peer.presence.leave()
    assert me.presence.announce() == [b"me"]


def test_workers_of_another_version_divide_the_shards_among_themselves(
    client: redis.Redis, shard: str, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a worker that only refuses frames could be the only reader, while workers that could read them stand
    by.
    """
    me = join("me")
    with monkeypatch.context() as patch:
        patch.setattr("worker.presence.VERSION", VERSION + 1)
        other = join("other")
    assert other.presence.announce() == [b"other"]
    assert me.presence.announce() == [b"me"]
    other.presence.leave()
    assert not client.exists(shard_workers(shard, VERSION + 1))


def test_a_delivery_contains_how_long_its_frames_have_waited(client: redis.Redis, shard: str, join: Join) -> None:
    me = join("me")
    seconds, microseconds = client.time()
    now_ms = seconds * 1000 + microseconds // 1000
    client.xadd(shard_stream(shard), {FIELD: b"old"}, id=f"{now_ms - 700}-0")
    client.xadd(shard_stream(shard), {FIELD: b"new"}, id=f"{now_ms}-0")
    delivery = me.stream.read(Report(), block=False)
    assert [entry.data for entry in delivery.entries] == [b"old", b"new"]
    old, new = (delivery.waited_ms(entry.id) for entry in delivery.entries)
    assert 700 <= old < 700 + 5000
    assert old - new == 700
    taken = join("peer").takeover.take_over()
    assert taken.redelivered
    assert taken.waited_ms(taken.entries[0].id) >= old


def test_a_missing_group_is_created_again(client: redis.Redis, shard: str, join: Join) -> None:
    me = join("me")
    client.delete(shard_stream(shard))
    assert me.take_over() == []
    (entry,) = append(client, shard, b"a")
    assert me.read() == [Entry(entry, b"a")]
    client.xgroup_destroy(shard_stream(shard), GROUP)
    assert me.read() == []
    assert me.read() == [Entry(entry, b"a")]


def test_all_connections_to_a_server_learn_the_same_id(join: Join) -> None:
    run_id = join("me").group.connect()
    assert len(run_id) == 40
    assert join("peer").group.connect() == run_id
