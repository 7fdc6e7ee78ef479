"""Changes with an `Idempotency-Key` in a cluster whose buckets move. They are recorded bucket by bucket, so that a
retry finds what was applied, wherever the buckets are then and however it groups its keys.

The body of such a chunk is the operation (1 byte), a token (16 bytes), and MessagePack:

    [bucket, body, bucket, body, ...]

Each inner body is bytes: a body of the operation whose keys are all in the bucket before it, called a *piece*. Nearly
always it has all the keys of the request in that bucket. If these are too many for a chunk they make several pieces,
the same in every try, and the second ones go in other chunks with another token. The shard records each piece by token
and bucket, and answers a piece that is on record with the recorded result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from api.batch.outcomes import Result
from api.batch.split import Part
from protocol.buckets import ShardMap, bucket_of
from protocol.chunks import MAX_CHUNK_BYTES, MAX_CHUNK_KEYS, ChunkError
from protocol.frames import Outcome
from protocol.operations import Operation, Status
from protocol.rows import bodies, rest_of_rows

_encode = msgspec.msgpack.Encoder().encode
_results = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode

STEP_BYTES = 128 * 1024

_WHOLE = frozenset((Operation.WRITE, Operation.DELETE))
"""The answers of these operations are for all pieces of a chunk together."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Keys of one bucket, and the body that names them; `number`, from 0, tells it from other pieces of the bucket."""

    bucket: int
    number: int
    keys: list[str]
    body: bytes


class PiecedPart(Part):
    """A part that consists of pieces."""

    __slots__ = ("pieces",)

    def __init__(self, shard: str, keys: list[str], body: bytes, pieces: Sequence[Piece]) -> None:
        super().__init__(shard, keys, body)
        self.pieces = pieces


async def pieces_of(operation: Operation, parts: Iterable[Part], bucket_count: int) -> list[Piece]:
    """The pieces of a batch: the same for the same keys in the same order, whatever map the parts were made with.

    Between steps of about `STEP_BYTES` the event loop gets a turn.
    """
    rows: dict[int, list[tuple[object, ...]]] = {}
    for part in parts:
        await asyncio.sleep(0)
        for key, rest in zip(part.keys, rest_of_rows(operation, part.body), strict=True):
            bucket = bucket_of(key.encode(), bucket_count)
            rows.setdefault(bucket, []).append((key, bucket, *rest))
    pieces: list[Piece] = []
    made = 0
    for bucket in sorted(rows):
        for number, (start, end, body) in enumerate(bodies(operation, rows[bucket])):
            pieces.append(Piece(bucket, number, [str(row[0]) for row in rows[bucket][start:end]], body))
            made += len(body)
        if made > STEP_BYTES:
            made = 0
            await asyncio.sleep(0)
    return pieces


def parts_of(operation: Operation, pieces: Iterable[Piece], claim: str, shard_map: ShardMap) -> list[Part]:
    """Group pieces into parts, each within the size of a chunk."""
    placed: dict[tuple[str, int], list[Piece]] = {}
    for piece in pieces:
        placed.setdefault((shard_map.owner(piece.bucket), piece.number), []).append(piece)
    return [
        _part(operation, shard, number, some, claim)
        for (shard, number), every in placed.items()
        for some in _cut(every)
    ]


def _cut(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    some: list[Piece] = []
    keys = size = 0
    for piece in pieces:
        if some and (keys + len(piece.keys) > MAX_CHUNK_KEYS or size + len(piece.body) > MAX_CHUNK_BYTES):
            yield some
            some, keys, size = [], 0, 0
        some.append(piece)
        keys += len(piece.keys)
        size += len(piece.body)
    if some:
        yield some


def _part(operation: Operation, shard: str, number: int, pieces: list[Piece], claim: str) -> Part:
    content = bytes((operation,)) + number.to_bytes(4, "big")
    token = blake2b(content, digest_size=16, key=claim.encode()).digest()
    inner = [element for piece in pieces for element in (piece.bucket, piece.body)]
    keys = [key for piece in pieces for key in piece.keys]
    return PiecedPart(shard, keys, bytes((operation,)) + token + _encode(inner), pieces)


def result_by_piece(operation: Operation, result: Result) -> Iterator[Result]:
    """The outcome of a part of pieces, as results of the operation: one for each piece if each has its own answer.

    Raises:
        ChunkError: a shard's answer does not fit its part.
    """
    part, outcome = result.part, result.outcome
    if operation in _WHOLE or outcome.status != Status.OK or not isinstance(part, PiecedPart):
        yield result
        return
    try:
        answers = _results(outcome.payload)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise ChunkError(f"a payload does not decode: {error}") from error
    if len(answers) != len(part.pieces):
        raise ChunkError(f"{len(answers)} results answer {len(part.pieces)} pieces")
    for piece, answer in zip(part.pieces, answers, strict=True):
        yield Result(Part(part.shard, piece.keys, piece.body), Outcome(outcome.id, Status.OK, bytes(answer)))
