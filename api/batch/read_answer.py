"""The answer to a read, in JSON or in MessagePack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from api.batch.outcomes import Result
from api.http.negotiation import Format
from api.http.problems import Kind, Problem, at
from api.http.response import MEDIA_TYPES, Answer
from protocol.chunks import ChunkError, decode_values, head_size, map_header, slice_values

# orjson would write dates, dataclasses and subclasses in a form of its own; stored values must not change.
_STRICT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS

_pack = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[Any])


def read_answer(results: Sequence[Result], accept: Format, max_bytes: int) -> Answer:
    """The answer of a read all of whose parts went well.

    Raises:
        Problem: 413, it would be too large; 406, JSON cannot express a value that is stored.
        ChunkError: a shard answered what is no answer to its part.
    """
    size = sum(len(result.outcome.payload) - head_size(len(result.part.keys)) for result in results)
    if size > max_bytes:
        raise Problem(
            Kind.ANSWER_TOO_LARGE, f"the values have {size} bytes, {max_bytes} are allowed: ask for fewer keys"
        )
    if accept is Format.MSGPACK:
        return Answer(200, MEDIA_TYPES[accept], _msgpack_body(results))
    data: dict[str, Any] = {}
    missing: list[str] = []
    for result in results:
        lengths, values = decode_values(result.outcome.payload, _decoder)
        keys = result.part.keys
        _check_count(lengths, keys)
        if len(values) == len(keys):
            data.update(zip(keys, values, strict=True))
        else:
            missing += [key for key, length in zip(keys, lengths, strict=True) if not length]
            found = (key for key, length in zip(keys, lengths, strict=True) if length)
            data.update(zip(found, values, strict=True))
    content = {"data": data, "not_found": missing} if missing else {"data": data}
    try:
        body = orjson.dumps(content, option=_STRICT)
    except TypeError:
        raise _not_json(data) from None
    return Answer(200, MEDIA_TYPES[accept], body)


def _check_count(answered: Sequence[object], keys: Sequence[str]) -> None:
    if len(answered) != len(keys):
        raise ChunkError(f"{len(answered)} values answer {len(keys)} keys")


def _not_json(data: Mapping[str, Any]) -> Problem:
    for key, value in data.items():
        try:
            orjson.dumps(value, option=_STRICT)
        except TypeError:
            detail = f"JSON cannot express the value of key {key!r}; ask with 'Accept: application/msgpack'"
            return at(Kind.NOT_ACCEPTABLE, detail, "data", key)
    return Problem(Kind.NOT_ACCEPTABLE, "JSON cannot express a value; ask with 'Accept: application/msgpack'")


def _msgpack_body(results: Sequence[Result]) -> bytes:
    """The document with every value as the bytes that are stored, in whatever form of MessagePack they came."""
    pairs: list[tuple[str, bytes | None]] = []
    for result in results:
        values = slice_values(result.outcome.payload)
        _check_count(values, result.part.keys)
        pairs += zip(result.part.keys, values, strict=True)
    missing = [key for key, value in pairs if value is None]
    return b"".join(_msgpack_pieces([(key, value) for key, value in pairs if value is not None], missing))


def _msgpack_pieces(found: Sequence[tuple[str, bytes]], missing: Sequence[str]) -> Iterator[bytes]:
    yield map_header(2 if missing else 1)
    yield _pack("data")
    yield map_header(len(found))
    for key, value in found:
        yield _pack(key)
        yield value
    if missing:
        yield _pack("not_found")
        yield _pack(missing)
