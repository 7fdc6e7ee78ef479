"""How a batch is split: which shard gets which keys, and in which form."""

from typing import Any

import msgspec
import pytest

from api.batch.limits import check_count
from api.batch.options import Mark, PerKey, WriteOptions
from api.batch.split import Groups, Part
from api.http.problems import Kind, Problem
from protocol.buckets import ShardMap, bucket_of
from protocol.chunks import MAX_CHUNK_KEYS
from protocol.operations import Operation
from protocol.settings import BatchSettings

COUNT = 100
MAP = ShardMap(("low", "high"), COUNT, (0, *(0 if bucket <= 50 else 1 for bucket in range(1, COUNT + 1))))
LIMITS = BatchSettings(max_key_bytes=8, max_value_bytes=16)
pack = msgspec.msgpack.encode


def sent(groups: Groups) -> list[tuple[str, list[str], bytes]]:
    """The parts of a batch, to compare."""
    return [(part.shard, part.keys, part.body) for part in groups.parts()]


def parts_of(groups: Groups) -> dict[str, Part]:
    found = list(groups.parts())
    assert len({part.shard for part in found}) == len(found)
    return {part.shard: part for part in found}


def owner(key: str) -> str:
    return MAP.owner(bucket_of(key.encode(), COUNT))


def refused(**data: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        Groups(MAP).add_values(data, LIMITS)
    return caught.value


def test_every_key_goes_to_the_shard_of_its_bucket() -> None:
    keys = [f"k{number}" for number in range(50)]
    groups = Groups(MAP)
    groups.add_values(dict.fromkeys(keys, 1), LIMITS)
    parts = parts_of(groups)
    assert set(parts) == {"low", "high"}
    for shard, part in parts.items():
        assert part.keys == [key for key in keys if owner(key) == shard]


def test_a_write_names_the_bucket_of_each_key() -> None:
    groups = Groups(MAP)
    groups.add_values({"k": {"a": [1, None]}}, LIMITS)
    (part,) = groups.parts()
    assert part.body == pack([("k", bucket_of(b"k", COUNT), {"a": [1, None]})])


def test_an_encoded_value_stays_the_same_bytes() -> None:
    odd = b"\xcd\x00\x01"
    groups = Groups(MAP)
    groups.add_values({"k": msgspec.Raw(odd)}, LIMITS)
    (part,) = groups.parts()
    assert part.body == b"\x91\x93" + pack("k") + pack(bucket_of(b"k", COUNT)) + odd


def test_a_read_names_the_bucket_of_each_key() -> None:
    groups = Groups(MAP)
    groups.add_keys(["k"], LIMITS)
    (part,) = groups.parts()
    assert part.body == pack((["k"], [bucket_of(b"k", COUNT)]))


def test_a_batch_has_the_same_parts_every_time() -> None:
    made = []
    for _ in range(2):
        groups = Groups(MAP)
        groups.add_values({f"k{number}": {"b": number, "a": [None]} for number in range(300)}, LIMITS)
        made.append(sent(groups))
    assert made[0] == made[1]


def test_a_large_batch_makes_several_parts_for_one_shard() -> None:
    only = ShardMap(("s1",), COUNT, (0,) * (COUNT + 1))
    groups = Groups(only)
    groups.add_keys([str(number) for number in range(MAX_CHUNK_KEYS + 1)], LIMITS)
    assert [len(part.keys) for part in groups.parts()] == [500, 501]


ALL_LOW = ShardMap(("low", "high"), COUNT, (0,) * (COUNT + 1))


def test_a_write_that_was_split_by_an_old_map_is_sent_by_the_new_one() -> None:
    data = {f"k{number}": msgspec.Raw(b"\xcd\x00" + bytes((number,))) for number in range(20)}
    old, new, direct = Groups(ALL_LOW), Groups(MAP), Groups(MAP)
    old.add_values(data, LIMITS)
    assert len(old.parts()) == 1
    new.add_again(Operation.WRITE, old.parts())
    direct.add_values(data, LIMITS)
    assert sent(new) == sent(direct)


@pytest.mark.parametrize("operation", [Operation.READ, Operation.DELETE])
def test_keys_that_were_split_by_an_old_map_are_sent_by_the_new_one(operation: Operation) -> None:
    keys = [f"k{number}" for number in range(1500)]
    old, new = Groups(ALL_LOW), Groups(MAP)
    old.add_keys(keys, LIMITS)
    assert len(old.parts()) == 2
    new.add_again(operation, old.parts())
    for part in new.parts():
        assert {owner(key) for key in part.keys} == {part.shard}
        assert part.body == pack((part.keys, [bucket_of(key.encode(), COUNT) for key in part.keys]))
    assert {key for part in new.parts() for key in part.keys} == set(keys)


def test_keys_of_buckets_that_a_refusal_names_are_sent_in_chunks_of_their_own() -> None:
    keys = [f"k{number}" for number in range(200)]
    old, named, rest = Groups(ALL_LOW), Groups(MAP), Groups(MAP)
    old.add_keys(keys, LIMITS)
    some = frozenset(range(40, 60))
    named.add_again(Operation.READ, old.parts(), only=some)
    rest.add_again(Operation.READ, old.parts(), without=some)
    buckets = {key: bucket_of(key.encode(), COUNT) for key in keys}
    assert {key for part in named.parts() for key in part.keys} == {key for key in keys if buckets[key] in some}
    assert {key for part in rest.parts() for key in part.keys} == {key for key in keys if buckets[key] not in some}


def options(versions: bool = False) -> WriteOptions:  # noqa: FBT001, FBT002
    """Options of a write that give every third key a condition or an expiry of its own."""
    own: dict[str, Mark] = {f"k{number}": (number * 1000 or None, number % 2 == 0) for number in range(0, 3000, 3)}
    operation = Operation.UPDATE if versions else Operation.WRITE
    return WriteOptions(PerKey((60_000, None), own), versions, operation)


@pytest.mark.parametrize("versions", [True, False])
def test_a_write_with_options_is_sent_by_the_new_map_with_the_options_of_each_key(
    versions: bool,  # noqa: FBT001
) -> None:
    data = {f"k{number}": msgspec.Raw(b"\xcd\x00" + bytes((number % 256,))) for number in range(1500)}
    marks = options(versions)
    old, new, direct = Groups(ALL_LOW), Groups(MAP), Groups(MAP)
    old.add_values(data, LIMITS, marks)
    assert len(old.parts()) == 2
    new.add_again(marks.operation, old.parts())
    direct.add_values(data, LIMITS, marks)
    assert sent(new) == sent(direct)
    assert {part.shard for part in new.parts()} == {"low", "high"}


def test_a_write_with_empty_options_has_the_parts_of_a_plain_one() -> None:
    data = {f"k{number}": number for number in range(1500)}
    plain, marked = Groups(MAP), Groups(MAP)
    plain.add_values(data, LIMITS)
    marked.add_values(data, LIMITS, WriteOptions(PerKey((None, None)), versions=False, operation=Operation.WRITE))
    assert sent(marked) == sent(plain)


def test_rows_are_sent_again_by_the_new_map() -> None:
    rows = [(f"k{number}", number, 0, None, 99, None, False) for number in range(1500)]
    old, new, direct = Groups(ALL_LOW), Groups(MAP), Groups(MAP)
    old.add_rows(Operation.INCREMENT, rows, LIMITS, "data")
    new.add_again(Operation.INCREMENT, old.parts())
    direct.add_rows(Operation.INCREMENT, rows, LIMITS, "data")
    assert sent(new) == sent(direct)
    assert sum(len(part.keys) for part in new.parts()) == len(rows)


@pytest.mark.parametrize(("member", "place"), [("data", "123456789"), ("keys", "1")])
def test_a_row_with_an_invalid_key_is_named_by_its_place_in_the_body(member: str, place: str) -> None:
    with pytest.raises(Problem) as caught:
        Groups(MAP).add_rows(Operation.TOUCH, [("good", None), ("123456789", None)], LIMITS, member)
    assert caught.value.members["errors"][0]["pointer"] == f"#/{member}/{place}"


def test_values_with_options_have_the_limits_of_all_values() -> None:
    for value in ("x" * 16, 2**64):
        with pytest.raises(Problem) as caught:
            Groups(MAP).add_values({"good": 1, "bad": value}, LIMITS, options(versions=True))
        assert caught.value.members["errors"][0]["pointer"] == "#/data/bad"


@pytest.mark.parametrize("key", ["12345678", "ключ"])
def test_a_key_of_as_many_bytes_as_allowed_is_accepted(key: str) -> None:
    groups = Groups(MAP)
    groups.add_values({key: 1}, LIMITS)
    assert parts_of(groups)[owner(key)].keys == [key]


@pytest.mark.parametrize("key", ["", "123456789", "ключи"])
def test_a_key_of_too_few_or_too_many_bytes_is_refused(key: str) -> None:
    assert refused(**{key: 1}).kind is Kind.INVALID_KEY


def test_a_key_to_read_is_named_by_its_position() -> None:
    with pytest.raises(Problem) as caught:
        Groups(MAP).add_keys(["good", "123456789"], LIMITS)
    assert caught.value.members["errors"][0]["pointer"] == "#/keys/1"


def test_a_value_of_as_many_bytes_as_allowed_is_accepted() -> None:
    groups = Groups(MAP)
    groups.add_values({"k": "x" * 15}, LIMITS)
    groups.add_values({"l": msgspec.Raw(pack("x" * 15))}, LIMITS)
    assert sum(len(part.keys) for part in groups.parts()) == 2


def test_a_value_that_is_one_byte_too_large_is_named_by_its_key() -> None:
    problem = refused(good=1, bad="x" * 16)
    assert problem.kind is Kind.INVALID_VALUE
    assert problem.members["errors"][0]["pointer"] == "#/data/bad"
    with pytest.raises(Problem, match="17 bytes as MessagePack, 16 are allowed"):
        Groups(MAP).add_values({"k": msgspec.Raw(pack("x" * 16))}, LIMITS)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [[2**64]], {"a": -(2**63) - 1}])
def test_an_integer_beyond_64_bits_is_named_by_its_key(value: Any) -> None:
    problem = refused(good=1, bad=value)
    assert problem.kind is Kind.INVALID_VALUE
    assert problem.members["errors"][0]["pointer"] == "#/data/bad"


def test_a_refused_batch_leaves_nothing_in_the_groups() -> None:
    groups = Groups(MAP)
    with pytest.raises(Problem):
        groups.add_values({"good": 1, "bad": "x" * 16}, LIMITS)
    assert not groups.parts()


@pytest.mark.parametrize(("count", "kind"), [(0, Kind.EMPTY_BATCH), (11, Kind.TOO_MANY_KEYS)])
def test_a_batch_of_no_or_too_many_keys_is_refused(count: int, kind: Kind) -> None:
    with pytest.raises(Problem) as caught:
        check_count(count, "keys", BatchSettings(max_batch_keys=10))
    assert caught.value.kind is kind


@pytest.mark.parametrize("count", [1, 10])
def test_a_batch_of_one_key_or_of_as_many_as_allowed_is_accepted(count: int) -> None:
    check_count(count, "keys", BatchSettings(max_batch_keys=10))
