"""Chunks, frames, replies and answers: what was encoded comes back, and damaged bytes are refused by the named error.

Damage must not cost memory or time either: lengths and counts that lie are among it.
"""

import json
import tracemalloc
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import google_crc32c
import msgspec
from hypothesis import strategies as st

from api.answers import read_answer
from api.batches import Result
from api.bodies import Format
from api.problems import Problem
from api.splitting import Part
from protocol.chunks import ChunkError, decode_values, encode_body, slice_values, split_lengths
from protocol.frames import (
    VERSION,
    Chunk,
    Frame,
    FrameError,
    Outcome,
    Reply,
    decode_frame,
    decode_reply,
    encode_frame,
    encode_reply,
)
from tests.contract.samples import same
from tests.fuzz import reference, wide
from tests.fuzz.damage import damages
from tests.fuzz.effort import fuzz

MUCH = 8 * 1024 * 1024
decoder = msgspec.msgpack.Decoder(list[Any])
pack = msgspec.msgpack.encode

ids = st.binary(min_size=16, max_size=16)
numbers = st.integers(0, 2**64 - 1)
chunks = st.builds(Chunk, ids, st.integers(0, 255), numbers, numbers, st.integers(0, 2**32), st.binary(max_size=40))
outcomes = st.builds(
    Outcome, ids, st.integers(0, 12), st.none() | numbers | st.binary(max_size=30) | st.text(max_size=10)
)
frames = st.tuples(
    st.text(max_size=12), st.dictionaries(st.integers(0, 5), st.text(max_size=5)), st.lists(chunks, max_size=4)
)
encoded_frames = frames.map(lambda parts: encode_frame(*parts))
encoded_replies = st.lists(outcomes, max_size=5).map(encode_reply)
kept = st.tuples(reference.values.filter(reference.can_be_kept))
entries = st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=8)


def sealed(content: bytes) -> bytes:
    """Bytes with the checksum that makes them pass for whole, as they are after a fault in front of it."""
    head = content + b"\xc4\x04"
    checksum: int = google_crc32c.value(head)
    return head + checksum.to_bytes(4, "little")


class Frugal:
    """A `with` block that may take little memory, whatever numbers it reads, and end in one error or none."""

    def __init__(self, *declared: type[Exception]) -> None:
        self._declared = declared

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MUCH
        return isinstance(error, self._declared)


@fuzz(frames)
def test_a_frame_comes_back(parts: tuple[str, dict[int, str], list[Chunk]]) -> None:
    assert decode_frame(encode_frame(*parts))[:4] == (VERSION, *parts)


@fuzz(st.lists(outcomes, max_size=5))
def test_a_reply_comes_back(sent: list[Outcome]) -> None:
    assert decode_reply(encode_reply(sent))[:2] == (VERSION, sent)


@fuzz(damages(encoded_frames), examples=150)
def test_a_damaged_frame_is_refused(data: bytes) -> None:
    with Frugal(FrameError):
        assert data == encode_frame(*decode_frame(data)[1:4])


@fuzz(damages(encoded_replies), examples=150)
def test_a_damaged_reply_is_refused(data: bytes) -> None:
    with Frugal(FrameError):
        assert data == encode_reply(decode_reply(data).outcomes)


@fuzz(damages(encoded_frames.map(lambda data: data[:-6])).map(sealed), examples=200)
def test_a_frame_that_was_wrong_before_it_was_sealed_is_a_frame_or_refused(data: bytes) -> None:
    with Frugal(FrameError):
        frame = decode_frame(data)
        assert type(frame) is Frame
        assert all(type(chunk) is Chunk and type(chunk.body) is bytes for chunk in frame.chunks)


@fuzz(damages(encoded_replies.map(lambda data: data[:-6])).map(sealed), examples=200)
def test_a_reply_that_was_wrong_before_it_was_sealed_is_a_reply_or_refused(data: bytes) -> None:
    with Frugal(FrameError):
        reply = decode_reply(data)
        assert type(reply) is Reply
        assert all(type(outcome) is Outcome and type(outcome.id) is bytes for outcome in reply.outcomes)
        assert all(isinstance(outcome.text, str) for outcome in reply.outcomes)


@fuzz(entries)
def test_entries_come_back_from_a_body(sent: list[bytes]) -> None:
    assert slice_values(encode_body(sent)) == sent


@fuzz(damages(entries.map(encode_body)), examples=300)
def test_a_damaged_body_is_another_body_or_refused(data: bytes) -> None:
    with Frugal(ChunkError):
        lengths, start = split_lengths(data)
        assert start + sum(lengths) == len(data)
        assert encode_body([value or b"" for value in slice_values(data)]) == data


@fuzz(damages(st.lists(wide.scalars, max_size=5).map(encode_body)), examples=300)
def test_damaged_values_are_decoded_or_refused(data: bytes) -> None:
    with Frugal(ChunkError):
        lengths, values = decode_values(data, decoder)
        assert len(values) == sum(map(bool, lengths))


def result(keys: Sequence[str], payload: bytes) -> Result:
    return Result(Part("s1", list(keys), []), Outcome(b"", 0, payload))


@fuzz(st.lists(st.dictionaries(st.text(max_size=8), st.none() | kept, max_size=5), max_size=3), st.sampled_from(Format))
def test_an_answer_has_the_values_of_all_shards(parts: list[dict[str, Any]], accept: Format) -> None:
    # A key lies on one shard.
    seen: set[str] = set()
    parts = [{key: part[key] for key in part if key not in seen and not seen.add(key)} for part in parts]  # type: ignore[func-returns-value]
    results = [
        result(list(part), encode_body([b"" if value is None else pack(value[0]) for value in part.values()]))
        for part in parts
    ]
    answer = read_answer(results, accept, MUCH)
    document = json.loads(answer.body) if accept is Format.JSON else msgspec.msgpack.decode(answer.body)
    asked = {key: value for part in parts for key, value in part.items()}
    assert same(document["data"], {key: value[0] for key, value in asked.items() if value is not None})
    assert document.get("not_found", []) == [key for key, value in asked.items() if value is None]


@fuzz(damages(st.lists(wide.scalars, min_size=2, max_size=2).map(encode_body)), st.sampled_from(Format), examples=300)
def test_the_damaged_answer_of_a_shard_is_an_answer_or_an_error(payload: bytes, accept: Format) -> None:
    with Frugal(ChunkError, Problem):
        answer = read_answer([result(["a", "b"], payload)], accept, MUCH)
        if accept is Format.JSON:
            document = json.loads(answer.body)
            assert set(document["data"]) | set(document.get("not_found", [])) == {"a", "b"}
