"""Frames and replies: round trips, other versions, damage."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chunks import write_bodies
from protocol.frames import (
    VERSION,
    Chunk,
    FrameError,
    Outcome,
    decode_frame,
    decode_reply,
    encode_frame,
    encode_reply,
)

chunks = st.builds(
    Chunk,
    id=st.binary(min_size=16, max_size=16),
    operation=st.integers(1, 30),
    deadline_ms=st.integers(0, 2**53),
    retain_ms=st.integers(0, 2**40),
    keys=st.integers(1, 1000),
    body=st.binary(max_size=50),
)
outcomes = st.builds(
    Outcome,
    id=st.binary(min_size=16, max_size=16),
    status=st.integers(0, 10),
    payload=st.none() | st.integers(0, 1000) | st.binary(max_size=20) | st.text(max_size=20),
)
CHUNK = Chunk(b"i" * 16, 1, 2, 3, 4, b"body")


@given(
    st.text(max_size=20),
    st.dictionaries(st.integers(0, 9), st.text(max_size=5)),
    st.lists(chunks, max_size=5),
    st.text(max_size=40),
    st.integers(0, 2**40),
)
def test_a_decoded_frame_equals_the_encoded_one(
    stream: str, traces: dict[int, str], sent: list[Chunk], server: str, sent_ms: int
) -> None:
    frame = decode_frame(encode_frame(stream, traces, sent, server=server, sent_ms=sent_ms))
    assert (frame.version, frame.reply_stream, frame.traces, frame.chunks) == (VERSION, stream, traces, sent)
    assert (frame.server, frame.sent_ms) == (server, sent_ms)


@given(st.lists(outcomes, max_size=5))
def test_a_decoded_reply_equals_the_encoded_one(sent: list[Outcome]) -> None:
    assert decode_reply(encode_reply(sent))[:-1] == (VERSION, sent)


def test_a_frame_of_another_version_is_refused_by_its_number() -> None:
    data = msgspec.msgpack.encode((VERSION + 1, "reply:x", {}, [CHUNK]))
    with pytest.raises(FrameError, match=f"format version {VERSION + 1}, this process understands {VERSION}"):
        decode_frame(data)


def test_a_frame_of_another_version_is_refused_whatever_else_is_in_it() -> None:
    data = msgspec.msgpack.encode((VERSION + 1, {"quite": "different"}))
    with pytest.raises(FrameError, match=f"format version {VERSION + 1}"):
        decode_frame(data)


def test_a_reply_of_another_version_is_refused_whatever_else_is_in_it() -> None:
    with pytest.raises(FrameError, match=f"format version {VERSION + 1}"):
        decode_reply(msgspec.msgpack.encode((VERSION + 1, [], "more")))
    with pytest.raises(FrameError, match=f"format version {VERSION + 1}"):
        decode_reply(msgspec.msgpack.encode((VERSION + 1, [])))


UNHASHABLE = b"\x92\x00\x81\xd4\x05\x00\x01"
"""A list of 0 and a map with an extension as its key."""


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x90", b"\x80", b"not a frame", msgspec.msgpack.encode(["1"]), UNHASHABLE]
)
def test_bytes_that_are_not_a_frame_are_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        decode_frame(data)
    with pytest.raises(FrameError):
        decode_reply(data)


@given(st.data())
def test_a_frame_cut_short_is_refused(data: st.DataObject) -> None:
    whole = encode_frame("reply:x", {0: "trace"}, [CHUNK, CHUNK])
    with pytest.raises(FrameError):
        decode_frame(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_damaged_frame_is_refused(position: int, difference: int) -> None:
    damaged = bytearray(encode_frame("reply:x", {0: "trace"}, [CHUNK]))
    damaged[position % len(damaged)] ^= difference
    with pytest.raises(FrameError):
        decode_frame(bytes(damaged))


LOST = [(start, count) for start in range(200) for count in range(1, 9)]


def with_a_hole(data: bytes, start: int, count: int) -> bytes:
    """As many bytes as before, from a stream that has lost some bytes, so that the next command fills the gap."""
    return (data[:start] + data[start + count :] + b"\r\n*5\r\n$4\r\nXADD")[: len(data)]


@pytest.mark.parametrize("value", ["a text that may begin and end anywhere", 7, [1, 2, 3]])
def test_a_frame_that_lost_bytes_on_its_way_is_refused(value: object) -> None:
    ((_, _, body),) = write_bodies([("key", 1, value)])
    whole = encode_frame("reply:x", {}, [CHUNK._replace(body=body)])
    for start, count in LOST:
        damaged = with_a_hole(whole, start, count)
        if damaged != whole:
            with pytest.raises(FrameError):
                decode_frame(damaged)


def test_a_reply_that_lost_bytes_on_its_way_is_refused() -> None:
    whole = encode_reply([Outcome(b"i" * 16, 0, b"some bytes"), Outcome(b"j" * 16, 1, "a text")])
    for start, count in LOST:
        damaged = with_a_hole(whole, start, count)
        if damaged != whole:
            with pytest.raises(FrameError):
                decode_reply(damaged)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_decoded_as_a_reply_or_refused(data: bytes) -> None:
    try:
        decode_reply(data)
    except FrameError:
        return
