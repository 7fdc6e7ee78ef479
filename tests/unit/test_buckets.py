"""Keys to buckets, compared with the real Tarantool, and the checks of the shard map."""

import shutil
import subprocess

import pytest

from protocol.buckets import Ownership, ShardMapError, bucket_of, build_shard_map

# Key, and Tarantool's digest.crc32 of it.
VECTORS = [
    (b"", 0xFFFFFFFF),
    (b"a", 0x3E2FBCCF),
    (b"123456789", 0x1CF96D7C),
    ("ключ-🔑".encode(), 0x2AD75F11),
    (b"\x00" * 32, 0x756EC955),
    (b"k" * 1024, 0xFABD40AE),
]
COUNT = 30_000


@pytest.mark.parametrize(("key", "crc"), VECTORS)
def test_a_bucket_is_the_hash_modulo_the_count_plus_one(key: bytes, crc: int) -> None:
    assert bucket_of(key, COUNT) == crc % COUNT + 1


@pytest.mark.skipif(shutil.which("tarantool") is None, reason="needs tarantool")
def test_buckets_are_those_that_tarantool_computes() -> None:
    keys = [key for key, _ in VECTORS] + [f"key-{number}".encode() for number in range(200)]
    table = ",".join(f"'{lua_escaped(key)}'" for key in keys)
    script = (
        "local digest = require('digest') "
        f"for _, key in ipairs({{{table}}}) do print(digest.crc32(key) % {COUNT} + 1) end os.exit(0)"
    )
    answer = subprocess.run(["tarantool", "-e", script], check=True, capture_output=True, text=True, timeout=30)
    assert [bucket_of(key, COUNT) for key in keys] == [int(line) for line in answer.stdout.split()]


def lua_escaped(text: bytes) -> str:
    return "".join(f"\\{byte:03d}" for byte in text)


def test_every_bucket_is_from_one_to_the_count() -> None:
    found = {bucket_of(str(number).encode(), 7) for number in range(1000)}
    assert found == set(range(1, 8))


def owned(shard: str, *ranges: tuple[int, int], count: int = 10) -> Ownership:
    return Ownership(shard, count, ranges)


def test_a_complete_map_knows_the_owner_of_every_bucket() -> None:
    shard_map = build_shard_map(["s1", "s2"], 10, {"s1": owned("s1", (1, 4), (9, 10)), "s2": owned("s2", (5, 8))})
    assert [shard_map.owner(bucket) for bucket in (1, 4, 5, 8, 9, 10)] == ["s1", "s1", "s2", "s2", "s1", "s1"]


def test_a_map_with_a_bucket_that_no_shard_owns_is_refused() -> None:
    with pytest.raises(ShardMapError, match="no shard owns 2 of 10 buckets, the first of them bucket 5"):
        build_shard_map(["s1", "s2"], 10, {"s1": owned("s1", (1, 4)), "s2": owned("s2", (7, 10))})


def test_a_map_with_a_bucket_that_two_shards_own_is_refused() -> None:
    with pytest.raises(ShardMapError, match="shards s1 and s2 both own bucket 4"):
        build_shard_map(["s1", "s2"], 10, {"s1": owned("s1", (1, 4)), "s2": owned("s2", (4, 10))})


def test_a_bucket_that_moves_belongs_to_the_shard_that_the_old_owner_names() -> None:
    """A shard that knows of the move names the new owner; a shard that may still read the bucket comes first."""
    said = {"s1": Ownership("s1", 10, ((1, 4),), ((5, 6),)), "s2": Ownership("s2", 10, ((6, 10),), ((5, 5), (3, 3)))}
    shard_map = build_shard_map(["s1", "s2"], 10, said)
    assert [shard_map.owner(bucket) for bucket in (3, 4, 5, 6)] == ["s1", "s1", "s1", "s2"]


def test_a_map_differs_from_the_map_before_a_move() -> None:
    before = build_shard_map(["s1", "s2"], 10, {"s1": owned("s1", (1, 4)), "s2": owned("s2", (5, 10))})
    after = before.moved({4: "s2", 5: "s1"})
    assert [after.owner(bucket) for bucket in (3, 4, 5, 6)] == ["s1", "s2", "s1", "s2"]
    assert [before.owner(bucket) for bucket in (4, 5)] == ["s1", "s2"]


def test_another_bucket_count_is_refused() -> None:
    with pytest.raises(ShardMapError, match="s1 was made with bucket_count 12"):
        build_shard_map(["s1"], 10, {"s1": owned("s1", (1, 12), count=12)})


def test_an_instance_of_another_shard_is_refused() -> None:
    with pytest.raises(ShardMapError, match="configured as shard s1 says it is shard s2"):
        build_shard_map(["s1"], 10, {"s1": owned("s2", (1, 10))})


@pytest.mark.parametrize("claimed", [(0, 10), (1, 11), (5, 4)])
def test_a_range_outside_the_buckets_is_refused(claimed: tuple[int, int]) -> None:
    with pytest.raises(ShardMapError, match="claims buckets"):
        build_shard_map(["s1"], 10, {"s1": owned("s1", claimed)})
