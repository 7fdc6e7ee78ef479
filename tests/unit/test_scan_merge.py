"""The merge of several shards' ordered answers into one."""

import asyncio
from contextlib import suppress
from random import Random

import msgspec
import pytest

from api.http.problems import Kind, Problem
from api.scan import merge as merging
from api.scan.merge import MAX_MOVES, Limits
from api.scan.ownership import fault_of
from api.scan.selection import Selection, bounds
from api.scan.shards import Failure
from protocol.operations import Status
from tests.unit.scan_fakes import BUCKETS, FakeShards, everything, limits

ODD = ("a", "a\0", "aa", "ab", "b", "ä", "ﬀ", "\uffff", "😀", "z" * 1024, "~", "\x7f", "Z")


def keys_of(count: int) -> list[str]:
    return [f"{number:04d}" for number in range(count)]


def test_keys_of_all_shards_are_in_the_order_of_their_bytes_in_both_directions() -> None:
    """Python compares code points and the shards compare UTF-8 bytes; both orders are the same."""
    in_order = sorted(ODD, key=str.encode)

    async def scenario() -> None:
        for shards in (1, 2, 3, 5):
            for page in (1, 2, 5, 100):
                for at_most in (1, 3, 1000):
                    fakes = FakeShards(shards, ODD, at_most)
                    assert await everything(fakes.merge(), page) == in_order
                    backward = await everything(fakes.merge(Selection(reverse=True)), page)
                    assert backward == in_order[::-1]

    asyncio.run(scenario())


@pytest.mark.parametrize("reverse", [False, True])
def test_a_new_merge_continues_after_the_position_of_another(*, reverse: bool) -> None:
    keys = keys_of(200)

    async def scenario() -> None:
        fakes = FakeShards(3, keys, at_most=7)
        found: list[str] = []
        position = None
        while True:
            merge = fakes.merge(Selection(reverse=reverse), position)
            found += [item.key for item in await merge.read(limits(9))]
            position = merge.position
            if merge.complete:
                break
        assert found == sorted(keys, reverse=reverse)

    asyncio.run(scenario())


def test_keys_that_are_left_over_are_read_next_and_not_asked_for_again() -> None:
    async def scenario() -> None:
        fakes = FakeShards(3, keys_of(900), at_most=100)
        assert await everything(fakes.merge(), 50, ahead=True) == keys_of(900)
        # The last answer of each shard says that it is the last.
        assert len(fakes.asked) <= 12

    asyncio.run(scenario())


def test_a_page_asks_each_shard_for_little_more_than_its_share_of_keys() -> None:
    async def scenario() -> None:
        fakes = FakeShards(4, keys_of(900))
        await fakes.merge().read(limits(100))
        assert {asked.limit for _, asked in fakes.asked[:4]} == {36}

    asyncio.run(scenario())


def test_a_page_is_bounded_in_bytes_but_has_at_least_one_item() -> None:
    async def scenario() -> None:
        fakes = FakeShards(2, keys_of(10))
        fakes.keys = dict.fromkeys(fakes.keys, msgspec.Raw(b"\xda\x03\xe8" + b"x" * 1000))
        merge = fakes.merge()
        assert len(await merge.read(limits(10, 3100))) == 3
        assert len(await merge.read(limits(10, 1))) == 1
        assert not merge.complete
        assert len(await merge.read(limits())) == 6
        assert merge.complete

    asyncio.run(scenario())


def test_a_page_is_shorter_or_empty_if_the_time_is_short() -> None:
    async def scenario() -> None:
        fakes = FakeShards(2, keys_of(100), at_most=5)
        first, last = fakes.map.bucket_count, fakes.map.bucket_count
        merge = fakes.merge(Selection(segment=first - 1, segments=last))
        now = asyncio.get_running_loop().time()
        pages, positions = [], [merge.position]
        while not merge.complete:
            pages.append(await merge.read(Limits(1000, 1 << 20, now, now + 20)))
            positions.append(merge.position)
        assert len(set(positions)) >= len(positions) - 1, "every page but the last makes progress"
        assert len(pages) > 5
        assert [] in pages
        assert [item.bucket for page in pages for item in page] == [BUCKETS] * sum(map(len, pages))

    asyncio.run(scenario())


def test_all_segments_together_contain_every_key() -> None:
    keys = keys_of(300)

    async def scenario() -> None:
        fakes = FakeShards(3, keys)
        for segments in (1, 2, 5, 12):
            parts = [
                await everything(fakes.merge(Selection(segment=segment, segments=segments)), 50)
                for segment in range(segments)
            ]
            assert all(part == sorted(part) for part in parts)
            assert sorted(key for part in parts for key in part) == keys

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(40))
def test_every_key_comes_once_and_in_order_while_buckets_move(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket moves between any two answers, and often back again."""
    monkeypatch.setattr(merging, "MOVE_WAIT_S", 0.0)
    random = Random(seed)
    keys = keys_of(150)

    async def scenario() -> None:
        fakes = FakeShards(3, keys, at_most=10)
        owners = [random.randrange(3) for _ in range(BUCKETS + 1)]
        fakes.owner = owners.__getitem__
        moves = 25

        def move(_: int) -> None:
            nonlocal moves
            if moves and random.random() < 0.3:
                moves -= 1
                owners[random.randint(1, BUCKETS)] = random.randrange(3)

        fakes.before = move
        merge = fakes.merge(Selection(reverse=seed % 2 == 1))
        found: list[str] = []
        for _ in range(2000):
            try:
                found += [item.key for item in await merge.read(limits(20, ahead=seed % 3 == 0))]
            except Problem as problem:
                assert problem.members["reasons"][0]["code"] == "bucket_moved"  # noqa: PT017 - it may, or not
            if merge.complete:
                break
        assert found == sorted(keys, reverse=seed % 2 == 1)

    asyncio.run(scenario())


def test_a_scan_over_buckets_that_never_stop_moving_gets_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MOVE_WAIT_S", 0.0)

    async def scenario() -> None:
        fakes = FakeShards(2, keys_of(10))
        fakes.owner = lambda bucket: -1 if bucket == 3 else bucket % 2
        with pytest.raises(Problem, match="no shard has answered for bucket 3") as caught:
            await fakes.merge().read(limits())
        assert caught.value.kind is Kind.SHARD_UNAVAILABLE
        assert caught.value.members["reasons"][0]["code"] == "bucket_moved"
        assert len(fakes.asked) == 2 * (MAX_MOVES + 1)
        merge = fakes.merge(Selection(segment=11, segments=12))
        await merge.read(limits())
        assert merge.complete, "that bucket is not in the other segment"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (Status.UNREACHABLE, Kind.SHARD_UNAVAILABLE, "unreachable"),
        (Status.UNKNOWN, Kind.SHARD_UNAVAILABLE, "no_answer"),
        (Status.EXPIRED, Kind.DEADLINE_PASSED, "deadline_passed"),
        (Status.NO_MEMORY, Kind.OVERLOADED, "answers_too_large"),
        (Status.TOO_MANY, Kind.OVERLOADED, "too_many"),
        (Status.MALFORMED, Kind.DATABASE_REFUSED, "refused"),
    ],
)
def test_a_shard_that_does_not_answer_is_named(status: Status, kind: Kind, code: str) -> None:
    async def scenario() -> None:
        fakes = FakeShards(3, keys_of(10))
        fakes.failing["s1"] = Failure("s1", status, "why")
        merge = fakes.merge()
        with pytest.raises(Problem) as caught:
            await merge.read(limits())
        assert caught.value.kind is kind
        assert caught.value.members["reasons"] == [{"shard": "s1", "code": code, "keys": 0, "detail": "why"}]
        fakes.failing.clear()
        assert await everything(merge, 100) == keys_of(10), "the answers of the others are not lost"

    asyncio.run(scenario())


def test_a_failure_in_the_middle_of_a_reading_loses_no_key() -> None:
    async def scenario() -> None:
        for failing_from in range(1, 12):
            fakes = FakeShards(2, keys_of(60), at_most=7)

            def fail(number: int, fakes: FakeShards = fakes, first: int = failing_from) -> None:
                if number == first:
                    fakes.failing["s1"] = Failure("s1", Status.UNREACHABLE, "why")

            fakes.before = fail
            merge = fakes.merge()
            found: list[str] = []
            with suppress(Problem):
                while not merge.complete:
                    found += [item.key for item in await merge.read(limits(1000, ahead=True))]
            fakes.failing.clear()
            fakes.before = lambda _: None
            # The client of an export continues in this way: from the position, in another merge.
            assert found + await everything(fakes.merge(position=merge.position), 1000) == keys_of(60)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ([((1, 5),), ((6, 12),)], None),
        ([((6, 12),), ((1, 2), (4, 5)), ((3, 3),)], None),
        ([((1, 5),), ((5, 12),)], "two shards have answered for bucket 5"),
        ([((1, 12),), ((1, 12),)], "two shards have answered for bucket 1"),
        ([((1, 4),), ((6, 12),)], "no shard has answered for bucket 5"),
        ([((1, 11),), ()], "no shard has answered for bucket 12"),
        ([], "no shard has answered for bucket 1"),
    ],
)
def test_every_bucket_must_be_owned_exactly_once(claims: list[tuple[tuple[int, int], ...]], fault: str | None) -> None:
    assert fault_of(claims, 1, 12) == fault


def test_buckets_outside_the_segment_are_not_checked() -> None:
    assert fault_of([((3, 7),), ((1, 2), (2, 3), (8, 9))], 4, 9) is None
    assert fault_of([((3, 7),), ((8, 8),)], 4, 9) == "no shard has answered for bucket 9"


@pytest.mark.parametrize(
    ("prefix", "start", "end", "expected"),
    [
        ("", "", None, (None, None)),
        ("a", "", None, (b"a", b"b")),
        ("a", "ab", "ac", (b"ab", b"ac")),
        ("a", "Z", "z", (b"a", b"b")),
        ("b", "c", None, (b"c", b"c")),
        ("", "", "", (None, b"\0")),
        ("", "x", "a", (b"x", b"a")),
        ("ÿ", "", None, (b"\xc3\xbf", b"\xc3\xc0")),
    ],
)
def test_bounds_and_prefix_apply_together(
    prefix: str, start: str, end: str | None, expected: tuple[bytes | None, bytes | None]
) -> None:
    assert bounds(prefix.encode(), start.encode(), None if end is None else end.encode()) == expected
