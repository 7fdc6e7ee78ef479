"""Every name in `protocol.names` lives as that module says: its owner renews it, and it expires when the owner ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.auth.login_throttle import LoginThrottle
from api.ops.metrics import Metrics
from api.queue import sender as sender_module
from api.queue.dispatcher import Dispatcher
from protocol.clock import now_ms
from protocol.frames import VERSION, Chunk, Outcome, encode_reply
from protocol.names import FIELD, alive_key, reply_stream, shard_stream, shard_workers
from protocol.operations import Operation, Status
from protocol.redis_wire import Wire
from protocol.settings import AuthSettings, BatchSettings
from tests.integration.redis_server import RedisServer
from worker import presence as presence_module
from worker import stream as stream_module
from worker.group import Group
from worker.presence import Presence
from worker.stream import Report, ShardStream

TTL_S = 1
PERIODS = 3
"""Keys are watched for this many times their expiry."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def short_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sender_module, stream_module, presence_module):
        monkeypatch.setattr(module, "EPHEMERAL_TTL_S", TTL_S)
    monkeypatch.setattr(sender_module, "HEARTBEAT_S", TTL_S / 10)


@asynccontextmanager
async def dispatching(server: RedisServer) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(server.settings, BatchSettings(), ["s1"], Metrics())
    dispatcher.start()
    try:
        await until(lambda: dispatcher.connected)
        yield dispatcher
    finally:
        await dispatcher.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


async def expired_by_itself(server: RedisServer, periods: int) -> None:
    """Wait until this many keys without renewal have been set and have expired, one after the other."""
    for _ in range(periods):
        server.client.set("witness", "1", ex=TTL_S)
        await until(lambda: not server.client.exists("witness"))


async def answered(server: RedisServer, dispatcher: Dispatcher) -> Outcome:
    """The outcome of a chunk that this test answers in place of a worker."""
    chunk = Chunk(dispatcher.ids.next(), Operation.READ, now_ms() + 5000, 0, 1, b"")
    task = asyncio.create_task(dispatcher.dispatch([("s1", chunk)]))
    await until(lambda: bool(server.client.xlen(shard_stream("s1"))))
    server.client.delete(shard_stream("s1"))
    reply = encode_reply([Outcome(chunk.id, Status.OK, b"answer")])
    wire = Wire(server.settings, name="test", identify=True)
    group = Group(wire, "s1", "me")
    ShardStream(group, count=1).report(Report([(reply_stream(dispatcher.process), reply)], server=group.connect()))
    wire.close()
    (outcome,) = await task
    return outcome


def test_an_idle_api_process_keeps_its_reply_stream_and_its_alive_key(server: RedisServer) -> None:
    async def scenario() -> None:
        async with dispatching(server) as dispatcher:
            names = (reply_stream(dispatcher.process), alive_key(dispatcher.process))
            assert (await answered(server, dispatcher)).payload == b"answer"
            last = server.client.xinfo_stream(names[0])["last-generated-id"]
            await expired_by_itself(server, PERIODS)
            assert all(server.client.exists(name) for name in names)
            # It is the same stream and not a new one: its next entry comes after the last that was read.
            assert server.client.xinfo_stream(names[0])["last-generated-id"] == last
            assert (await answered(server, dispatcher)).payload == b"answer"
        assert not server.client.exists(*names)

    asyncio.run(scenario())


def test_keys_that_an_api_process_leaves_behind_expire(server: RedisServer) -> None:
    async def scenario() -> None:
        async with dispatching(server) as dispatcher:
            await answered(server, dispatcher)
            names = (reply_stream(dispatcher.process), alive_key(dispatcher.process))
            assert all(0 < server.client.pttl(name) <= TTL_S * 1000 for name in names)

    asyncio.run(scenario())


def test_workers_expire_unless_one_of_them_announces_itself(server: RedisServer) -> None:
    async def scenario() -> None:
        wire = Wire(server.settings, name="test", identify=True)
        presence = Presence(Group(wire, "s1", "me"))
        name = shard_workers("s1", VERSION)
        assert presence.announce() == [b"me"]
        assert 0 < server.client.pttl(name) <= TTL_S * 1000
        await expired_by_itself(server, 1)
        presence.announce()
        assert server.client.exists(name)
        await until(lambda: not server.client.exists(name))
        wire.close()

    asyncio.run(scenario())


def test_a_shards_stream_never_expires_and_a_report_deletes_its_entries(server: RedisServer) -> None:
    wire = Wire(server.settings, name="test", identify=True)
    group = Group(wire, "s1", "me")
    group.ensure()
    entry = server.client.xadd(shard_stream("s1"), {FIELD: b"frame"})
    stream = ShardStream(group, count=1)
    assert stream.read(Report(), block=False).entries
    stream.report(Report([("reply:a", b"reply")], [entry], server=group.connect()))
    assert server.client.ttl(shard_stream("s1")) == -1
    assert server.client.xlen(shard_stream("s1")) == 0
    assert 0 < server.client.ttl("reply:a") <= TTL_S
    wire.close()


def test_counters_of_failed_logins_expire_with_their_window_and_are_not_prolonged(server: RedisServer) -> None:
    async def scenario() -> None:
        secret = "a secret of these tests that is long enough"
        throttle = LoginThrottle(lambda: [server.settings], AuthSettings(jwt_secret=secret, login_window_s=TTL_S))
        await throttle.failed("ann", "192.0.2.1")
        names = server.client.keys("login:*")
        assert len(names) == 2
        first = min(server.client.pttl(name) for name in names)
        await throttle.failed("ann", "192.0.2.1")
        assert max(server.client.pttl(name) for name in names) <= first
        await until(lambda: not server.client.keys("login:*"))
        await throttle.close()

    asyncio.run(scenario())
