"""The stored procedures over the network with damaged chunks: the shard refuses one and changes nothing, or applies
exactly it.

A model in Python has the expected data, and is compared with the shard after every example. At the end the shard must
still run, and have the same data after a restart: nothing that it accepted may break its recovery.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import strategies as st

from localcluster.cluster import Cluster
from protocol.chunks import array_header, slice_values
from protocol.operations import Operation, Status
from tests.fuzz import wide
from tests.fuzz.chance import Chance, made
from tests.fuzz.damage import damaged
from tests.fuzz.effort import fuzz
from tests.fuzz.target import Target, chunk
from worker.errors import ShardUnreachableError

FIRST, LAST = 1, 10_000
"""The buckets of the first of three shards."""


@pytest.fixture(scope="module")
def target(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    target = Target(tmp_path_factory.mktemp("shard"), cluster)
    process = target.start()
    try:
        yield target
        before = target.sums()
        target.shard.disconnect()
        process.__exit__(None, None, None)
        process = target.start()
        # Claims and revoked tokens may be over, and a start completes accounts that have one of two records.
        may_differ = {"claims": 0, "revoked": 0, "users": 0}
        assert {**target.sums(), **may_differ} == {**before, **may_differ}
    finally:
        target.shard.disconnect()
        process.__exit__(None, None, None)


def key(chance: Chance) -> bytes:
    """The MessagePack of a key; most of them are from a small set."""
    return msgpack.packb("key" + str(chance.randrange(30))) if chance.random() < 0.9 else wide.string(chance)


def bucket(chance: Chance) -> bytes:
    """The MessagePack of a bucket, a few of them of other shards."""
    last = LAST + 1000 if chance.random() < 0.02 else LAST
    return bytes(msgpack.packb(chance.randint(FIRST, last)))


BOMBS = (b"\x91" * 20_000 + b"\xc0", b"\x81\xa1a" * 20_000 + b"\xc0", b"\x91" * 257 + b"\xc0")
"""Well-formed, but deeper than allowed; the longer ones would crash a process that decodes them."""


def value(chance: Chance) -> bytes:
    return wide.value(chance) if chance.random() < 0.97 else chance.choice(BOMBS)


def header(chance: Chance, count: int) -> bytes:
    """The header of an array, in any of its forms."""
    return chance.choice((array_header(count), struct.pack(">BH", 0xDC, count), struct.pack(">BI", 0xDD, count)))


def write(chance: Chance) -> list[bytes]:
    """The body of a write, in pieces: a header, and entries."""
    count = chance.randint(1, 6)
    return [header(chance, count), *(entry(chance) for _ in range(count))]


def entry(chance: Chance) -> bytes:
    """An entry of a write; few have an expiry."""
    if chance.random() < 0.9:
        return b"\x93" + key(chance) + bucket(chance) + value(chance)
    expiry = chance.choice((0, 1, 100_000, -1, -4_000_000_000_000))
    return b"\x94" + key(chance) + bucket(chance) + value(chance) + bytes(msgpack.packb(expiry))


def keys(chance: Chance) -> list[bytes]:
    """The body of a read or a delete, in pieces: headers, keys, and buckets."""
    count = chance.randint(1, 6)
    names = [key(chance) for _ in range(count)]
    return [b"\x92", header(chance, count), *names, header(chance, count), *(bucket(chance) for _ in names)]


def maybe_damaged(chance: Chance, pieces: list[bytes]) -> bytes:
    if chance.random() < 0.2:
        return b"".join(pieces)
    if chance.random() < 0.3:
        # Only one piece is damaged; the pieces before and after it are unchanged.
        at = chance.randrange(len(pieces))
        return b"".join((*pieces[:at], damaged(chance, pieces[at]), *pieces[at + 1 :]))
    return damaged(chance, b"".join(pieces))


def reader(body: bytes) -> msgpack.Unpacker:
    unpacker = msgpack.Unpacker(raw=True)
    unpacker.feed(body)
    return unpacker


def key_of(unpacker: msgpack.Unpacker) -> bytes:
    """The next key of an accepted body."""
    name = unpacker.unpack()
    assert isinstance(name, bytes)
    assert 1 <= len(name) <= 1024
    return name


def written(body: bytes, expiring: set[bytes]) -> dict[bytes, bytes]:
    """The tuples that an accepted body stores, by key. Keys that expire are added to `expiring`, others removed."""
    found = {}
    unpacker = reader(body)
    for _ in range(unpacker.read_array_header()):
        start = unpacker.tell()
        elements = unpacker.read_array_header()
        name = key_of(unpacker)
        assert FIRST <= unpacker.unpack() <= LAST
        unpacker.skip()
        found[name] = b"\x93" + body[start + 1 : unpacker.tell()]
        if elements == 3:
            expiring.discard(name)
        else:
            assert elements == 4
            assert abs(unpacker.unpack()) <= 2**53
            expiring.add(name)
    assert unpacker.tell() == len(body)
    return found


def named(body: bytes) -> list[bytes]:
    """The keys that an accepted body reads or deletes."""
    unpacker = reader(body)
    assert unpacker.read_array_header() == 2
    names = [key_of(unpacker) for _ in range(unpacker.read_array_header())]
    assert unpacker.read_array_header() == len(names)
    assert all(FIRST <= unpacker.unpack() <= LAST for _ in names)
    assert unpacker.tell() == len(body)
    return names


REFUSALS = (Status.MALFORMED, Status.WRONG_BUCKET)


@fuzz(made(lambda chance: maybe_damaged(chance, write(chance))), examples=300)
def test_a_damaged_write_is_refused_or_stored_as_it_is(target: Target, body: bytes) -> None:
    status, payload = target.run(Operation.WRITE, body)
    if status == Status.OK:
        target.model |= written(body, target.expiring)
    else:
        assert status in REFUSALS, payload
    target.assert_as_modelled()


@fuzz(made(lambda chance: maybe_damaged(chance, keys(chance))), examples=200)
def test_a_damaged_read_is_refused_or_answered(target: Target, body: bytes) -> None:
    status, payload = target.run(Operation.READ, body)
    if status == Status.OK:
        names = named(body)
        values = [b"" if value is None else value for value in slice_values(payload)]
        assert len(values) == len(names)
        for name, value in zip(names, values, strict=True):
            assert target.model.get(name, b"").endswith(value)
            assert bool(value) == (name in target.model) or name in target.expiring
    else:
        assert status in REFUSALS, payload
    target.assert_as_modelled()


@fuzz(made(lambda chance: maybe_damaged(chance, keys(chance))), examples=200)
def test_a_damaged_delete_is_refused_or_removes_the_keys_that_it_names(target: Target, body: bytes) -> None:
    status, payload = target.run(Operation.DELETE, body)
    if status == Status.OK:
        names = set(named(body))
        found = names & target.model.keys()
        assert len(found - target.expiring) <= payload <= len(found)
        for name in found:
            del target.model[name]
        target.expiring -= names
    else:
        assert status in REFUSALS, payload
    target.assert_as_modelled()


CONTROLS: dict[Operation, Sequence[Any]] = {
    Operation.CLAIM: (1, "user", "key", b"digest", b"claim", 1000),
    Operation.FINISH: (1, "user", "key", b"claim", {"status": "success"}),
    Operation.USER_GET: (1, "user", "token"),
    Operation.USER_PUT: (1, "user", ("hash", ["read"], False, 1, 0), 0),
    Operation.REVOKE: (1, "user", "token", 5_000_000_000_000),
    Operation.USER_LIST: ("", 100),
    Operation.DESCRIBE: (),
}


def control(chance: Chance) -> tuple[Operation, bytes]:
    operation = chance.choice(tuple(CONTROLS))
    arguments = list(CONTROLS[operation])
    encoded = [bytes(msgpack.packb(argument)) for argument in arguments]
    if encoded and chance.random() < 0.5:
        encoded[chance.randrange(len(encoded))] = value(chance)
        return operation, bytes((0x90 | len(encoded),)) + b"".join(encoded)
    return operation, damaged(chance, msgpack.packb(arguments))


@fuzz(made(control), examples=200)
def test_a_damaged_control_operation_is_refused_and_changes_nothing(
    target: Target, drawn: tuple[Operation, bytes]
) -> None:
    operation, body = drawn
    before = target.sums()
    status, payload = target.run(operation, body)
    after = target.sums()
    if status != Status.OK:
        assert status in (*REFUSALS, Status.REFUSED, Status.CONFLICT), payload
        assert after == before
    assert {**after, "claims": 0, "users": 0, "revoked": 0} == {**before, "claims": 0, "users": 0, "revoked": 0}


def call(chance: Chance) -> bytes:
    """The argument of a call: chunks with arbitrary values for some of their parts, or another value."""
    if chance.random() < 0.1:
        return wide.value(chance)
    chunks = []
    for _ in range(chance.randint(1, 3)):
        good = chunk(chance.choice((1, 2, 3, 16, 22, 99)), b"".join(keys(chance)))
        parts = [bytes(msgpack.packb(part, use_bin_type=False)) for part in good]
        parts[chance.randrange(len(parts))] = wide.value(chance)
        del parts[chance.randint(3, 12) :]
        chunks.append(bytes((0x90 | len(parts),)) + b"".join(parts))
    return bytes((0x90 | len(chunks),)) + b"".join(chunks)


@fuzz(made(call) | st.just(b"\x91" * 500 + b"\xc0"), examples=100)
def test_a_call_with_arbitrary_values_instead_of_chunks_changes_nothing(target: Target, argument: bytes) -> None:
    before = target.sums()
    target.shard.connect()
    procedure = target.shard._procedure
    assert procedure is not None
    procedure._pack = lambda _: argument
    try:
        answers = target.shard.apply([])
    except ShardUnreachableError as error:
        # Tarantool's own error, or a number of answers that differs from that of chunks.
        reason = str(error)
    else:
        reason = "none" if answers else ""
    finally:
        target.shard.disconnect()
    assert "closed" not in reason
    after = target.sums()
    # A chunk whose retention or number of keys is damaged may be applied: of these only deletes change keys.
    assert after["kv"][0] <= before["kv"][0]
    assert {**after, "kv": 0, "claims": 0} == {**before, "kv": 0, "claims": 0}
    target.forget()
