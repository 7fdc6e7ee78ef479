"""Frames and replies: the content of stream entries.

A frame contains the chunks that one api process sends to one shard at one moment; a reply contains the outcomes that
one worker reports to one api process. Both are MessagePack arrays that begin with the format version, so that a process
of another version notices it before it reads further. In every version the first two elements of a frame are these:

    frame   [version, reply stream, server, sent_ms, traces, [chunk, ...], cluster, checksum]
    chunk   [id, operation, deadline_ms, retain_ms, keys, body]
    reply   [version, [[id, status, payload], ...], checksum]

`cluster` is the id of the cluster to whose shards the chunks are sent. Workers of another cluster that uses the same
Redis refuse the frame. It is empty only while an api process asks which cluster is its own; such a frame contains only
questions that every cluster may answer.

`server` is the run id of the Redis process to which the frame was appended. In any other process the frame is left over
from before a failover: its sender has sent its chunks again. `sent_ms` is the sender's Unix time when it sent the
frame: `deadline_ms - sent_ms` is the time that a chunk had left then, whatever other clocks say.

`deadline_ms` is absolute Unix time. `retain_ms` is how long after its application an outcome must be remembered at
least; 0 means as long as the deadline requires. `traces` maps the position of a chunk to its request's `traceparent`.

The checksum is the CRC-32C of all bytes before it. Redis reads as many bytes as an argument's length says: if bytes are
lost on the way, those after them move up, and in half of the cases the result is a frame again, with a value that
nobody wrote.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import google_crc32c
import msgspec

from protocol.operations import Operation

VERSION = 5
"""The version of the format of frames and their bodies. Only this version is written and understood."""

MAX_FRAME_BYTES = 1024 * 1024
"""Body bytes in one frame, unless a single chunk is larger."""

MAX_FRAME_KEYS = 4000
"""Keys in one frame."""


class Chunk(NamedTuple):
    """A part of a batch that belongs to one shard."""

    id: bytes
    operation: int
    deadline_ms: int
    retain_ms: int
    keys: int
    body: bytes


class Outcome(NamedTuple):
    """The outcome of one chunk; `payload` is the answer for `Status.OK`, otherwise a text that says what is wrong."""

    id: bytes
    status: int
    payload: Any

    @property
    def text(self) -> str:
        """The payload as a text to show; a shard sends its texts as bytes."""
        return self.payload.decode("utf-8", "replace") if isinstance(self.payload, bytes) else str(self.payload)


class Frame(NamedTuple):
    """The content of one entry of a shard's stream."""

    version: int
    reply_stream: str
    server: str
    sent_ms: int
    traces: dict[int, str]
    chunks: list[Chunk]
    cluster: str = ""
    checksum: bytes = b""


class Reply(NamedTuple):
    """The content of one entry of an api process's reply stream."""

    version: int
    outcomes: list[Outcome]
    checksum: bytes = b""


class FrameError(ValueError):
    """The bytes are not a frame or reply of a version understood here."""


class ForeignFrameError(FrameError):
    """A frame or reply of another format version; `reply_stream` is that of the frame's sender."""

    def __init__(self, version: int, reply_stream: str | None) -> None:
        super().__init__(f"format version {version}, this process understands {VERSION}")
        self.version = version
        self.reply_stream = reply_stream


class OtherClusterError(FrameError):
    """A frame for the shards of another cluster; `reply_stream` is that of its sender."""

    def __init__(self, cluster: str, own: str, reply_stream: str) -> None:
        super().__init__(f"the frame is for cluster {cluster or '(none)'}, this worker works for {own}")
        self.cluster = cluster
        self.reply_stream = reply_stream


T = TypeVar("T", Frame, Reply)

_encode = msgspec.msgpack.Encoder().encode
_frames = msgspec.msgpack.Decoder(Frame)
_replies = msgspec.msgpack.Decoder(Reply)
_anything = msgspec.msgpack.Decoder(list[msgspec.Raw])
# TypeError: msgspec before 0.22 raises it for the key of a map that Python cannot hash.
_UNDECODABLE = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
_checksum, _checksum_on = google_crc32c.value, google_crc32c.extend

_LATER = msgspec.Raw(b"")
"""A placeholder for the checksum, which is appended."""

_FOUR_BYTES = b"\xc4\x04"
_WHOLE = 0x48674BC7
"""The CRC-32C of any data that end with their own CRC-32C, lowest byte first."""


def _sealed(data: bytes) -> bytes:
    checksum = _checksum_on(_checksum(data), _FOUR_BYTES)
    return b"".join((data, _FOUR_BYTES, checksum.to_bytes(4, "little")))


def encode_frame(
    reply_stream: str,
    traces: dict[int, str],
    chunks: list[Chunk],
    *,
    server: str = "",
    sent_ms: int = 0,
    cluster: str = "",
) -> bytes:
    """Encode a frame of this version."""
    return _sealed(_encode((VERSION, reply_stream, server, sent_ms, traces, chunks, cluster, _LATER)))


def encode_reply(outcomes: list[Outcome]) -> bytes:
    """Encode a reply of this version."""
    return _sealed(_encode((VERSION, outcomes, _LATER)))


def _refuse(data: bytes, error: Exception) -> FrameError:
    try:
        first, second, *_ = _anything.decode(data)
        version = msgspec.msgpack.decode(first, type=int)
        if version == VERSION:
            return FrameError(f"damaged: {error}")
        name = msgspec.msgpack.decode(second)
        return ForeignFrameError(version, name if isinstance(name, str) else None)
    except (*_UNDECODABLE, IndexError):
        return FrameError(f"not a frame: {error}")


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    if _checksum(data) != _WHOLE:
        raise _refuse(data, ValueError("the checksum is wrong"))
    try:
        decoded = decoder.decode(data)
    except _UNDECODABLE as error:
        raise _refuse(data, error) from error
    if decoded.version != VERSION:
        raise _refuse(data, ValueError("another version"))
    return decoded


def decode_frame(data: bytes) -> Frame:
    """Decode a frame.

    Raises:
        FrameError: the bytes are damaged, or of another version.
    """
    return _decode(data, _frames)


def check_cluster(frame: Frame, own: str) -> None:
    """Check that a frame is for the shards of the cluster `own`, or only asks for the id of the cluster.

    Raises:
        OtherClusterError: it is for another cluster.
    """
    if frame.cluster == own:
        return
    if frame.cluster or any(chunk.operation != Operation.DESCRIBE for chunk in frame.chunks):
        raise OtherClusterError(frame.cluster, own, frame.reply_stream)


def decode_reply(data: bytes) -> Reply:
    """Decode a reply.

    Raises:
        FrameError: the bytes are damaged, or of another version.
    """
    return _decode(data, _replies)
