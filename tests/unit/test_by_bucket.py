"""Changes under a claim in a cluster whose buckets move: every attempt has the same pieces, each with an outcome."""

import asyncio
from typing import cast

import msgspec
import pytest

from api.batch.by_bucket import Piece, PiecedPart, parts_of, pieces_of, result_by_piece
from api.batch.errand import Claim
from api.batch.outcomes import Result
from api.batch.run import Batches
from api.batch.split import Groups, Part
from api.queue.dispatcher import Dispatcher
from protocol.buckets import ShardMap, bucket_of
from protocol.chunks import MAX_CHUNK_BYTES, MAX_CHUNK_KEYS, ChunkError
from protocol.clock import now_ms
from protocol.frames import Outcome
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings
from tests.unit.moving_shards import MovingShards, buckets_of, first_half_on_s1, loaded

COUNT = 100
ONE = ShardMap(("s1", "s2"), COUNT, (0,) * (COUNT + 1))
TWO = ShardMap(("s1", "s2"), COUNT, tuple(bucket % 2 for bucket in range(COUNT + 1)))
SETTINGS = BatchSettings()


def pieces(data: dict[str, object], shard_map: ShardMap, count: int = COUNT) -> list[Piece]:
    groups = Groups(shard_map)
    groups.add_values(data, SETTINGS)
    return asyncio.run(pieces_of(Operation.WRITE, groups.parts(), count))


def tokens(parts: list[Part]) -> dict[tuple[bytes, int], bytes]:
    """The bodies of the pieces of parts, by token and bucket, which is what the shards record them by."""
    found: dict[tuple[bytes, int], bytes] = {}
    for part in parts:
        inner = msgspec.msgpack.decode(part.body[17:])
        for bucket, body in zip(inner[::2], inner[1::2], strict=True):
            assert (part.body[1:17], bucket) not in found, "each piece has its own record"
            found[part.body[1:17], bucket] = body
    return found


def test_every_attempt_records_the_same_pieces_whatever_the_map() -> None:
    data: dict[str, object] = {f"k{number}": number for number in range(3000)}
    first, again = (parts_of(Operation.WRITE, pieces(data, each), "c", each) for each in (ONE, TWO))
    assert tokens(first) == tokens(again)
    assert {part.shard for part in first} == {"s1"}
    assert {part.shard for part in again} == {"s1", "s2"}
    for part in again:
        assert {TWO.owner(bucket_of(key.encode(), COUNT)) for key in part.keys} == {part.shard}


def test_a_bucket_with_more_keys_than_a_chunk_has_the_same_pieces_in_every_attempt() -> None:
    alone = ShardMap(("s1",), 1, (0, 0))
    data: dict[str, object] = {f"k{number}": "x" * 400 for number in range(2500)}
    made = pieces(data, alone, 1)
    assert len(made) > 2
    parts = parts_of(Operation.WRITE, made, "c", alone)
    assert len(tokens(parts)) == len(made)
    assert sorted(key for part in parts for key in part.keys) == sorted(data)
    assert all(len(part.keys) <= MAX_CHUNK_KEYS and len(part.body) <= MAX_CHUNK_BYTES + 100 for part in parts)


def test_claims_and_operations_have_tokens_of_their_own() -> None:
    made = pieces({"k": 1}, ONE)
    of = {
        parts_of(operation, made, claim, ONE)[0].body[1:17]
        for operation in (Operation.WRITE, Operation.UPDATE)
        for claim in ("c", "d")
    }
    assert len(of) == 4


def test_a_part_is_within_the_size_of_a_chunk() -> None:
    data: dict[str, object] = {f"k{number}": "x" * 2000 for number in range(1500)}
    parts = parts_of(Operation.WRITE, pieces(data, ONE), "c", ONE)
    assert len(parts) > 10
    for part in parts:
        assert isinstance(part, PiecedPart)
        assert len(part.keys) <= MAX_CHUNK_KEYS
        assert sum(len(piece.body) for piece in part.pieces) <= MAX_CHUNK_BYTES


def result(payload: object, status: Status = Status.OK) -> Result:
    (part,) = parts_of(Operation.INCREMENT, [Piece(1, 0, ["a", "b"], b"x"), Piece(2, 0, ["c"], b"y")], "c", ONE)
    return Result(part, Outcome(b"i", status, payload))


def test_each_piece_has_its_own_answer() -> None:
    answer = msgspec.msgpack.encode([[[1, 2], []], [[3], []]])
    first, second = result_by_piece(Operation.INCREMENT, result(answer))
    assert (first.part.keys, msgspec.msgpack.decode(first.outcome.payload)) == (["a", "b"], [[1, 2], []])
    assert (second.part.keys, msgspec.msgpack.decode(second.outcome.payload)) == (["c"], [[3], []])


def test_a_chunk_whose_answer_has_no_pieces_has_one_outcome() -> None:
    for operation, whole in (
        (Operation.DELETE, result(7)),
        (Operation.WRITE, result(None)),
        (Operation.INCREMENT, result("why", Status.UNKNOWN)),
    ):
        assert list(result_by_piece(operation, whole)) == [whole]


@pytest.mark.parametrize("payload", [b"", b"\xc1", None, b"\x91\x01", b"\x93\x01\x02\x03"])
def test_an_answer_with_a_wrong_number_of_pieces_is_an_error(payload: object) -> None:
    with pytest.raises(ChunkError):
        list(result_by_piece(Operation.INCREMENT, result(payload)))


def increment(shards: MovingShards) -> list[Result]:
    async def work() -> list[Result]:
        topology = await loaded(shards)
        batches = Batches(cast("Dispatcher", shards), topology, SETTINGS)
        groups = batches.groups()
        groups.add_rows(
            Operation.INCREMENT, [(f"k{n}", 1, 0, None, None, None, False) for n in range(40)], SETTINGS, "data"
        )
        shards.where["s1"][2] = "s2"
        del shards.where["s2"][2]
        claim = Claim("c", repeated=False, asked_ms=now_ms())
        return await batches.run(Operation.INCREMENT, groups, claim=claim)

    return asyncio.run(work())


def test_each_moving_bucket_is_followed_under_the_same_token() -> None:
    shards = MovingShards(first_half_on_s1(), moves=True)
    results = increment(shards)
    assert sorted(key for each in results for key in each.part.keys) == sorted(f"k{n}" for n in range(40))
    assert {each.outcome.status for each in results} == {Status.OK}
    for each in results:
        assert msgspec.msgpack.decode(each.outcome.payload) == [bucket_of(each.part.keys[0].encode(), 10)]
    assert {chunk.operation for _, chunk in shards.sent} == {Operation.KEYED}
    assert len({chunk.body[1:17] for _, chunk in shards.sent}) == 1
    assert len({chunk.id for _, chunk in shards.sent}) == len(shards.sent) == 4
    assert buckets_of(shards.sent[-1][1]) == [2]


@pytest.mark.parametrize("claimed", [True, False])
@pytest.mark.parametrize("moves", [True, False])
def test_changes_are_recorded_by_bucket_only_under_a_claim_and_if_buckets_move(*, claimed: bool, moves: bool) -> None:
    """Each bucket of a request then takes memory for as long as claims are kept."""
    shards = MovingShards(first_half_on_s1(), moves=moves)

    async def work() -> None:
        topology = await loaded(shards)
        batches = Batches(cast("Dispatcher", shards), topology, SETTINGS)
        groups = batches.groups()
        groups.add_keys(["k"], SETTINGS)
        claim = Claim("c", repeated=False, asked_ms=now_ms()) if claimed else None
        await batches.run(Operation.DELETE, groups, claim=claim)

    asyncio.run(work())
    ((_, chunk),) = shards.sent
    assert (chunk.operation == Operation.KEYED) is (claimed and moves)
