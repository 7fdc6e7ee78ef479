"""Bodies of chunks and answers of reads: round trips, how batches split, and damaged bytes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chunks import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_KEYS,
    ChunkError,
    array_header,
    decode_values,
    encode_body,
    map_header,
    slice_values,
    split,
    split_lengths,
)

decoder = msgspec.msgpack.Decoder(list[Any])
pack = msgspec.msgpack.encode
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.binary(min_size=1)))
def test_entries_come_back_from_a_body(entries: list[bytes]) -> None:
    assert slice_values(encode_body(entries)) == entries


@given(st.lists(st.none() | values.map(pack)))
def test_an_answer_says_what_is_there_and_what_is_not(encoded: list[bytes | None]) -> None:
    assert slice_values(encode_body([value or b"" for value in encoded])) == encoded


@given(st.lists(values, max_size=40))
def test_values_come_back_decoded(written: list[Any]) -> None:
    lengths, found = decode_values(encode_body([pack(value) for value in written]), decoder)
    assert 0 not in lengths
    assert pack(found) == pack(written)


def test_missing_values_leave_no_gap_among_the_decoded() -> None:
    lengths, found = decode_values(encode_body([pack(1), b"", pack(None)]), decoder)
    assert list(lengths) == [1, 0, 1]
    assert found == [1, None]


def test_a_body_has_the_layout_that_the_storage_reads() -> None:
    assert encode_body([b"ab", b"c"]) == b"\2\0\0\0\2\0\0\0\1\0\0\0abc"


@given(st.lists(st.binary(min_size=1), min_size=1), st.data())
def test_a_body_cut_short_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    body = encode_body(entries)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(ChunkError):
        split_lengths(cut)


@given(st.lists(st.binary(min_size=1), min_size=1), st.binary(min_size=1))
def test_a_body_with_more_behind_it_is_refused(entries: list[bytes], more: bytes) -> None:
    with pytest.raises(ChunkError):
        split_lengths(encode_body(entries) + more)


def test_a_count_that_lies_is_refused_without_reserving_memory_for_it() -> None:
    with pytest.raises(ChunkError, match="too few for 4294967295 lengths"):
        split_lengths(b"\xff\xff\xff\xff" + b"x" * 100)


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(blob: bytes) -> None:
    try:
        pieces = slice_values(blob)
    except ChunkError:
        return
    assert encode_body([piece or b"" for piece in pieces]) == blob


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536, 70_000])
def test_headers_are_those_of_messagepack(count: int) -> None:
    assert array_header(count) + b"\xc0" * count == pack([None] * count)
    assert map_header(count) == pack(dict.fromkeys(range(count)))[: len(map_header(count))]


@given(st.lists(st.integers(1, MAX_CHUNK_BYTES * 2).map(lambda size: b"x" * size), min_size=1, max_size=20))
def test_the_runs_of_a_split_are_the_entries_in_order_each_within_bounds(entries: list[bytes]) -> None:
    runs = list(split(entries))
    assert [start for start, _ in runs] == [0, *(end for _, end in runs[:-1])]
    assert runs[-1][1] == len(entries)
    for start, end in runs:
        assert end - start == 1 or sum(map(len, entries[start:end])) <= MAX_CHUNK_BYTES


@pytest.mark.parametrize(
    ("count", "runs"), [(MAX_CHUNK_KEYS, 1), (MAX_CHUNK_KEYS + 1, 2), (2 * MAX_CHUNK_KEYS, 2), (10_000, 10)]
)
def test_a_chunk_has_a_thousand_keys_at_most(count: int, runs: int) -> None:
    found = list(split([b"x"] * count))
    assert len(found) == runs
    assert max(end - start for start, end in found) <= MAX_CHUNK_KEYS


def test_a_batch_of_exactly_the_bytes_of_a_chunk_is_one() -> None:
    half = b"x" * (MAX_CHUNK_BYTES // 2)
    assert list(split([half, half])) == [(0, 2)]
    assert list(split([half, half, b"y"])) == [(0, 2), (2, 3)]
