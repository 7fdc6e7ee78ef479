"""Damaged answers of Redis and Tarantool: the connection decodes them, or raises an error that callers handle."""

import asyncio
import socket
import struct
from typing import Any

import msgpack
import redis
from hypothesis import strategies as st

from protocol.frames import Chunk
from protocol.redis_wire import AsyncWire, Wire
from protocol.settings import RedisSettings, StoreSettings
from tests.fuzz import wide
from tests.fuzz.chance import Chance, made, text
from tests.fuzz.damage import damages
from tests.fuzz.effort import fuzz
from worker.errors import ShardUnreachableError
from worker.iproto import Procedure
from worker.shard import Shard

SETTINGS = RedisSettings(redis_url="redis://127.0.0.1:1/0", redis_password="secret")
CHUNKS = [Chunk(b"i" * 16, 1, 2, 3, 4, b"body")] * 2
COMMANDS = [("GET", "a"), ("XREAD", "b")]


def reply(chance: Chance, levels: int = 3) -> Any:
    """A possible answer of Redis, as the client returns it; an error is an exception."""
    kind = chance.randrange(6 if levels else 4)
    if kind == 0:
        return chance.getrandbits(chance.randint(1, 62)) * chance.choice((1, -1))
    if kind == 1:
        return chance.randbytes(chance.randrange(30))
    if kind == 2:
        return None
    if kind == 3:
        return redis.ResponseError("ERR " + str(chance.randrange(100)))
    return [reply(chance, levels - 1) for _ in range(chance.randrange(5))]


def in_resp(answer: Any) -> bytes:
    """A reply as bytes of Redis' protocol."""
    if answer is None:
        return b"$-1\r\n"
    if isinstance(answer, int):
        return b":%d\r\n" % answer
    if isinstance(answer, bytes):
        return b"$%d\r\n%s\r\n" % (len(answer), answer)
    if isinstance(answer, list):
        return b"*%d\r\n%s" % (len(answer), b"".join(map(in_resp, answer)))
    return b"-%s\r\n" % str(answer).encode()


def blocking(received: bytes) -> list[Any]:
    """The result of a worker's connection that receives these bytes and then the end of the stream."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    wire = Wire(SETTINGS, name="fuzz")
    wire._socket = ours
    try:
        theirs.sendall(received)
        theirs.shutdown(socket.SHUT_WR)
        return wire.run(COMMANDS)
    finally:
        wire.close()
        theirs.close()


def in_asyncio(received: bytes) -> list[Any]:
    """The same for an api's connection."""

    async def run() -> list[Any]:
        ours, theirs = socket.socketpair()
        wire = AsyncWire(SETTINGS, name="fuzz")
        wire._loop = asyncio.get_running_loop()
        transport, _ = await wire._loop.create_connection(lambda: wire, sock=ours)
        wire._transport = transport
        try:
            theirs.sendall(received)
            theirs.shutdown(socket.SHUT_WR)
            return await wire.run(COMMANDS)
        finally:
            wire.close()
            theirs.close()

    return asyncio.run(run())


ODD_REPLIES = (
    *(b"%1\r\n*0\r\n:1\r\n", b"%1\r\n+a\r\n:1\r\n", b"~1\r\n*0\r\n", b">1\r\n+a\r\n", b"|1\r\n+a\r\n+b\r\n:1\r\n"),
    *(b"_\r\n", b"#t\r\n", b",nan\r\n", b",1e400\r\n", b"(1\r\n", b"=5\r\ntxt:a\r\n", b"!5\r\nabcde\r\n"),
    *(b"*-2\r\n", b"$-2\r\n", b"$99999999999\r\n", b":99999999999999999999\r\n", b"*1\r\n" * 100, b"HTTP/1.1 400\r\n"),
)
"""Types of newer protocols only, and bytes of no protocol."""

ways = st.sampled_from([blocking, in_asyncio])
replies = made(lambda chance: [reply(chance), reply(chance)])


@fuzz(replies, ways)
def test_replies_of_redis_are_decoded(sent: list[Any], way: Any) -> None:
    received = way(b"".join(map(in_resp, sent)))
    assert repr(received) == repr(sent)


received_replies = damages(replies.map(lambda sent: b"".join(map(in_resp, sent))))
odd_replies = st.lists(st.sampled_from(ODD_REPLIES), min_size=2, max_size=3).map(b"".join)


@fuzz(received_replies | odd_replies, ways, examples=300)
def test_damaged_replies_of_redis_are_decoded_or_break_the_connection(received: bytes, way: Any) -> None:
    try:
        found = way(received)
    except (redis.ConnectionError, redis.TimeoutError):
        return
    assert len(found) == len(COMMANDS)


def packet(chance: Chance) -> bytes:
    """An answer of Tarantool to the first call on a connection: two outcomes, or an error."""
    if chance.random() < 0.1:
        return framed({0: 0x8000 | chance.randrange(200), 1: 1}, {0x31: text(chance, 40)})
    outcomes = [
        (chance.randrange(11), chance.choice((None, chance.getrandbits(32), chance.randbytes(chance.randrange(40)))))
        for _ in CHUNKS
    ]
    return framed({0: 0, 1: 1, 5: 80}, {0x30: [outcomes]})


def framed(header: object, body: object) -> bytes:
    content: bytes = msgpack.packb(header) + msgpack.packb(body)
    return struct.pack(">BI", 0xCE, len(content)) + content


def relabelled(chance: Chance) -> bytes:
    """Any values instead of header and body, with a correct length."""
    content = wide.value(chance) + wide.value(chance)
    if chance.random() < 0.5:
        content = msgpack.packb({0: 0, 1: 1}) + b"\x81\x30" + wide.value(chance)
    return struct.pack(">BI", 0xCE, len(content)) + content


def applied(received: bytes) -> list[list[Any]]:
    """The result of a worker's call that gets these bytes as answer and then the end of the stream."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    shard = Shard("s1", [("127.0.0.1", 1)], StoreSettings(store_password="secret"), 1.0)
    shard._procedure = Procedure(ours, "p")
    try:
        theirs.sendall(received)
        theirs.shutdown(socket.SHUT_WR)
        return shard.apply(CHUNKS)
    finally:
        shard.disconnect()
        ours.close()
        theirs.close()


@fuzz(damages(made(packet)) | made(relabelled), examples=400)
def test_damaged_answers_of_tarantool_are_outcomes_or_count_as_no_answer(received: bytes) -> None:
    try:
        outcomes = applied(received)
    except ShardUnreachableError:
        return
    assert len(outcomes) == len(CHUNKS)
    assert all(type(status) is int for status, _ in outcomes)
