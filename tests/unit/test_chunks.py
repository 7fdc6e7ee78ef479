"""Bodies of chunks and answers of reads: their forms, how batches are cut, and damaged bytes."""

import struct
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chunks import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_KEYS,
    ChunkError,
    Cut,
    array_header,
    decode_values,
    key_bodies,
    map_header,
    slice_values,
    split_lengths,
    write_bodies,
)
from tests.answers import answer

decoder = msgspec.msgpack.Decoder(list[Any])
pack = msgspec.msgpack.encode
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.none() | values.map(pack)))
def test_an_answer_says_which_keys_exist_and_which_are_absent(encoded: list[bytes | None]) -> None:
    assert slice_values(answer(encoded)) == encoded


@given(st.lists(values, max_size=40))
def test_values_come_back_decoded(written: list[Any]) -> None:
    lengths, found = decode_values(answer([pack(value) for value in written]), decoder)
    assert 0 not in lengths
    assert pack(found) == pack(written)


def test_missing_values_leave_no_gap_among_the_decoded() -> None:
    lengths, found = decode_values(answer([pack(1), None, pack(None)]), decoder)
    assert list(lengths) == [1, 0, 1]
    assert found == [1, None]


def test_an_answer_has_the_layout_that_the_storage_writes() -> None:
    assert slice_values(b"\3\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0abc") == [b"ab", None, b"c"]


@given(st.lists(st.binary(min_size=1), min_size=1), st.data())
def test_an_answer_cut_short_is_refused(encoded: list[bytes], data: st.DataObject) -> None:
    whole = answer(encoded)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(ChunkError):
        split_lengths(cut)


@given(st.lists(st.binary(min_size=1), min_size=1), st.binary(min_size=1))
def test_an_answer_with_bytes_after_its_end_is_refused(encoded: list[bytes], more: bytes) -> None:
    with pytest.raises(ChunkError):
        split_lengths(answer(encoded) + more)


def test_a_wrong_count_is_refused_without_allocating_memory_for_it() -> None:
    with pytest.raises(ChunkError, match="too few for 4294967295 lengths"):
        split_lengths(b"\xff\xff\xff\xff" + b"x" * 100)


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_decoded_or_refused(blob: bytes) -> None:
    try:
        pieces = slice_values(blob)
    except ChunkError:
        return
    assert answer(pieces) == blob


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536, 70_000])
def test_headers_are_those_of_messagepack(count: int) -> None:
    assert array_header(count) + b"\xc0" * count == pack([None] * count)
    assert map_header(count) == pack(dict.fromkeys(range(count)))[: len(map_header(count))]


def test_the_body_of_a_write_holds_the_tuples_to_store() -> None:
    ((start, end, body),) = write_bodies([("k", 300, {"a": None}), ("l", 1, msgspec.Raw(b"\xcd\x00\x01"))])
    assert (start, end) == (0, 2)
    assert body == b"\x92" + b"\x93\xa1k\xcd\x01\x2c\x81\xa1a\xc0" + b"\x93\xa1l\x01\xcd\x00\x01"


def test_the_body_of_a_read_holds_the_keys_and_then_their_buckets() -> None:
    assert list(key_bodies(["k", "l"], [300, 1])) == [(0, 2, b"\x92" + b"\x92\xa1k\xa1l" + b"\x92\xcd\x01\x2c\x01")]


def check_cuts(cuts: list[Cut], count: int) -> None:
    assert cuts[0][0] == 0
    assert cuts[-1][1] == count
    assert all(before[1] == after[0] for before, after in pairwise(cuts))
    for start, end, body in cuts:
        assert 1 <= end - start <= MAX_CHUNK_KEYS
        assert end - start == 1 or len(body) <= MAX_CHUNK_BYTES


@given(st.lists(st.integers(0, MAX_CHUNK_BYTES * 2), min_size=1, max_size=20))
def test_a_write_is_cut_in_order_into_bodies_within_bounds(sizes: list[int]) -> None:
    rows = [(str(number), 1, "x" * size) for number, size in enumerate(sizes)]
    cuts = list(write_bodies(rows))
    check_cuts(cuts, len(rows))
    assert [body for _, _, body in cuts] == [pack(rows[start:end]) for start, end, _ in cuts]


@given(st.integers(1, 3500), st.sampled_from([1, 255, 1024]))
def test_a_read_is_cut_in_order_into_bodies_within_bounds(count: int, size: int) -> None:
    keys = [str(number).rjust(size, "x") for number in range(count)]
    buckets = list(range(1, count + 1))
    cuts = list(key_bodies(keys, buckets))
    check_cuts(cuts, count)
    assert [body for _, _, body in cuts] == [pack((keys[start:end], buckets[start:end])) for start, end, _ in cuts]


@pytest.mark.parametrize(
    ("count", "chunks"), [(MAX_CHUNK_KEYS, 1), (MAX_CHUNK_KEYS + 1, 2), (2 * MAX_CHUNK_KEYS, 2), (10_000, 10)]
)
def test_a_chunk_has_a_thousand_keys_at_most(count: int, chunks: int) -> None:
    rows = [("k", 1, None)] * count
    assert len(write_bodies(rows)) == len(key_bodies(["k"] * count, [1] * count)) == chunks
    check_cuts(list(write_bodies(rows)), count)


def test_a_batch_of_exactly_the_bytes_of_a_chunk_is_one_chunk() -> None:
    text = "x" * (MAX_CHUNK_BYTES // 2)
    excess = len(pack([("k", 1, text), ("l", 1, text)])) - MAX_CHUNK_BYTES
    ((_, _, body),) = write_bodies([("k", 1, text), ("l", 1, text[excess:])])
    assert len(body) == MAX_CHUNK_BYTES
    assert len(write_bodies([("k", 1, text), ("l", 1, text[excess - 1 :])])) == 2


def test_small_values_beside_a_large_one_share_a_chunk() -> None:
    rows: list[tuple[str, int, Any]] = [(str(number), 1, None) for number in range(1000)]
    rows[500] = ("large", 1, "x" * MAX_CHUNK_BYTES)
    assert len(write_bodies(rows)) < 25


def former_head(body: bytes) -> int:
    """Bytes that a count and as many lengths would take if the body had the previous form."""
    (count,) = struct.unpack_from("<I", body.ljust(4, b"\0"))
    return 4 + 4 * int(count)


@pytest.mark.parametrize("size", [1, 2, 30, 31, 32, 255, 256, 1024])
def test_no_body_can_be_mistaken_for_one_of_the_previous_form(size: int) -> None:
    for count in range(1, MAX_CHUNK_KEYS + 1):
        keys = ["k" * size] * count
        for _, _, body in (*key_bodies(keys, [1] * count), *write_bodies([(key, 1, None) for key in keys])):
            assert former_head(body) > len(body)
