"""Chunks, frames, replies and answers: decoding reverses encoding, and damaged bytes raise the documented error.

Damaged bytes, among them wrong lengths and counts, must not take much memory or time either.
"""

import json
import tracemalloc
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import google_crc32c
import msgspec
import pytest
from hypothesis import strategies as st

from api.batch.outcomes import Result
from api.batch.read_answer import large_read_answer, read_answer
from api.batch.split import Part
from api.batch.steps import at_once
from api.http.negotiation import Format
from api.http.problems import Problem
from protocol.chunks import ChunkError, decode_values, slice_values, split_lengths
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
from tests.answers import answer
from tests.contract.samples import same
from tests.fuzz import wide
from tests.fuzz.chance import Chance, made, text
from tests.fuzz.damage import damages
from tests.fuzz.effort import fuzz
from tests.fuzz.reference import can_be_kept, json_value

MUCH = 8 * 1024 * 1024
decoder = msgspec.msgpack.Decoder(list[Any])
pack = msgspec.msgpack.encode


def chunk(chance: Chance) -> Chunk:
    deadline, retain, keys = (chance.getrandbits(chance.randint(1, 63)) for _ in range(3))
    body = chance.randbytes(chance.randrange(40))
    return Chunk(chance.randbytes(16), chance.randrange(256), deadline, retain, keys, body)


def frame(chance: Chance) -> tuple[str, dict[int, str], list[Chunk]]:
    traces = {number: text(chance) for number in range(chance.randrange(4))}
    return text(chance, 12), traces, [chunk(chance) for _ in range(chance.randrange(5))]


def outcomes(chance: Chance) -> list[Outcome]:
    payloads = (None, chance.getrandbits(63), chance.randbytes(chance.randrange(30)), text(chance, 10))
    return [
        Outcome(chance.randbytes(16), chance.randrange(13), chance.choice(payloads)) for _ in range(chance.randrange(6))
    ]


def entries(chance: Chance) -> list[bytes]:
    return [chance.randbytes(chance.randint(1, 30)) for _ in range(chance.randint(1, 8))]


def kept(chance: Chance) -> Any:
    value = json_value(chance)
    return value if can_be_kept(value) else kept(chance)


def parts(chance: Chance) -> list[dict[str, Any]]:
    """The shards' data for the requested keys: a value in a tuple, or None. A key is on one shard."""
    keys = {text(chance) for _ in range(chance.randrange(12))}
    found: list[dict[str, Any]] = [{}, {}, {}]
    for key in sorted(keys):
        chance.choice(found)[key] = (kept(chance),) if chance.random() < 0.7 else None
    return found


encoded_frames = made(lambda chance: encode_frame(*frame(chance)))
encoded_replies = made(lambda chance: encode_reply(outcomes(chance)))
encoded_values = made(
    lambda chance: answer([chance.choice((None, wide.value(chance, 1))) for _ in range(chance.randint(1, 3))])
)


def sealed(content: bytes) -> bytes:
    """Bytes with a valid checksum, as after a fault before the checksum was made."""
    head = content + b"\xc4\x04"
    checksum: int = google_crc32c.value(head)
    return head + checksum.to_bytes(4, "little")


class Frugal:
    """A `with` block that may use little memory, whatever numbers it reads, and may raise only one kind of error."""

    def __init__(self, *declared: type[Exception]) -> None:
        self._declared = declared

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MUCH
        return isinstance(error, self._declared)


@fuzz(made(frame))
def test_a_decoded_frame_equals_the_encoded_one(sent: tuple[str, dict[int, str], list[Chunk]]) -> None:
    frame = decode_frame(encode_frame(*sent))
    assert (frame.version, frame.reply_stream, frame.traces, frame.chunks) == (VERSION, *sent)


@fuzz(made(outcomes))
def test_a_decoded_reply_equals_the_encoded_one(sent: list[Outcome]) -> None:
    assert decode_reply(encode_reply(sent))[:2] == (VERSION, sent)


@fuzz(damages(encoded_frames), examples=150)
def test_a_damaged_frame_is_refused(data: bytes) -> None:
    with Frugal(FrameError):
        frame = decode_frame(data)
        assert data == encode_frame(
            frame.reply_stream, frame.traces, frame.chunks, server=frame.server, sent_ms=frame.sent_ms
        )


@fuzz(damages(encoded_replies), examples=150)
def test_a_damaged_reply_is_refused(data: bytes) -> None:
    with Frugal(FrameError):
        assert data == encode_reply(decode_reply(data).outcomes)


@fuzz(damages(encoded_frames.map(lambda data: data[:-6])).map(sealed), examples=200)
def test_a_wrong_frame_with_a_valid_checksum_is_decoded_or_refused(data: bytes) -> None:
    with Frugal(FrameError):
        found = decode_frame(data)
        assert type(found) is Frame
        assert all(type(chunk) is Chunk and type(chunk.body) is bytes for chunk in found.chunks)


@fuzz(damages(encoded_replies.map(lambda data: data[:-6])).map(sealed), examples=200)
def test_a_wrong_reply_with_a_valid_checksum_is_decoded_or_refused(data: bytes) -> None:
    with Frugal(FrameError):
        reply = decode_reply(data)
        assert type(reply) is Reply
        assert all(type(outcome) is Outcome and type(outcome.id) is bytes for outcome in reply.outcomes)
        assert all(isinstance(outcome.text, str) for outcome in reply.outcomes)


@pytest.mark.parametrize("deep", [b"\x91" * 5000, b"\x81\xa1a" * 5000])
def test_endless_nesting_is_refused(deep: bytes) -> None:
    outcome = b"\x93\xc4\x10" + b"i" * 16 + b"\x00" + deep + b"\xc0"
    for data in (deep, sealed(deep), sealed(bytes((0x93, VERSION, 0x91)) + outcome)):
        for decode in (decode_frame, decode_reply):
            with pytest.raises(FrameError):
                decode(data)
    with pytest.raises(ChunkError):
        decode_values(answer([deep + b"\xc0"]), decoder)


@fuzz(made(entries))
def test_the_values_of_an_answer_are_decoded(sent: list[bytes]) -> None:
    assert slice_values(answer(sent)) == sent


@fuzz(damages(made(lambda chance: answer(entries(chance)))), examples=300)
def test_a_damaged_answer_is_decoded_as_another_one_or_refused(data: bytes) -> None:
    with Frugal(ChunkError):
        lengths, start = split_lengths(data)
        assert start + sum(lengths) == len(data)
        assert answer(slice_values(data)) == data


@fuzz(damages(encoded_values), examples=300)
def test_damaged_values_are_decoded_or_refused(data: bytes) -> None:
    with Frugal(ChunkError):
        lengths, values = decode_values(data, decoder)
        assert len(values) == sum(map(bool, lengths))


def result(keys: Sequence[str], payload: bytes) -> Result:
    return Result(Part("s1", list(keys), b""), Outcome(b"", 0, payload))


@fuzz(made(parts), st.sampled_from(Format))
def test_an_answer_has_the_values_of_all_shards(stored: list[dict[str, Any]], accept: Format) -> None:
    results = [
        result(list(part), answer([None if value is None else pack(value[0]) for value in part.values()]))
        for part in stored
    ]
    body = read_answer(results, accept).body
    assert at_once(large_read_answer(results, accept)).body == body
    document = json.loads(body) if accept is Format.JSON else msgspec.msgpack.decode(body)
    asked = {key: value for part in stored for key, value in part.items()}
    assert same(document["data"], {key: value[0] for key, value in asked.items() if value is not None})
    assert document.get("not_found", []) == [key for key, value in asked.items() if value is None]


@fuzz(encoded_values | damages(encoded_values), st.sampled_from(Format), examples=300)
def test_the_damaged_answer_of_a_shard_is_decoded_or_an_error(payload: bytes, accept: Format) -> None:
    with Frugal(ChunkError, Problem):
        body = read_answer([result(["a", "b"], payload)], accept).body
        if accept is Format.JSON:
            document = json.loads(body)
            assert set(document["data"]) | set(document.get("not_found", [])) == {"a", "b"}
