"""Makes the answer to a read, in JSON or in MessagePack. A large one is made in steps of some values each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgpack
import msgspec
import orjson

from api.batch.msgpack_values import plain_decoder
from api.batch.msgpack_walk import walk
from api.batch.outcomes import Result
from api.batch.steps import STEP_BYTES, Steps, at_once
from api.batch.values import ValueNotKeptError
from api.http.negotiation import Format
from api.http.problems import Kind, Problem, at
from api.http.response import MEDIA_TYPES, Answer
from api.overload.memory_budgets import AnswerShare
from protocol.changes import Stored
from protocol.chunks import ChunkError, array_header, decode_values, head_size, map_header, slice_values, split_lengths

# orjson would encode dates, dataclasses and subclasses in its own way; stored values must not change.
_STRICT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS

STEP_KEYS = 200
"""Keys that one step answers at most: keys can be longer than their values."""

NO_MORE: Mapping[str, Any] = {}

_pack = msgspec.msgpack.Encoder().encode


def check_size(results: Sequence[Result], max_bytes: int) -> int:
    """The size of the values that were found, in bytes.

    Raises:
        Problem: 413, the values are too large.
    """
    size = sum(len(result.outcome.payload) - head_size(len(result.part.keys)) for result in results)
    if size > max_bytes:
        raise Problem(
            Kind.ANSWER_TOO_LARGE, f"the values have {size} bytes, {max_bytes} are allowed: ask for fewer keys"
        )
    return size


def read_answer(
    results: Sequence[Result],
    accept: Format,
    more: Mapping[str, Any] = NO_MORE,
    share: AnswerShare | None = None,
) -> Answer:
    """The answer to a read whose parts all succeeded, made at once: for small ones.

    It has the usual members and those of `more`. `share` is its part of the memory for answers.

    Raises:
        Problem: 406, JSON cannot express a stored value.
        ChunkError: a shard's answer does not fit its part.
    """
    body = _msgpack_body(results, more) if accept is Format.MSGPACK else _json_body(results, more)
    if body is None:
        return at_once(large_read_answer(results, accept, more, share))
    return Answer(200, MEDIA_TYPES[accept], body, share=share)


def large_read_answer(
    results: Sequence[Result],
    accept: Format,
    more: Mapping[str, Any] = NO_MORE,
    share: AnswerShare | None = None,
) -> Steps[Answer]:
    """The same in steps."""
    body = yield from (_large_msgpack_body if accept is Format.MSGPACK else _large_json_body)(results, more)
    return Answer(200, MEDIA_TYPES[accept], body, share=share)


def _check_count(answered: Sequence[object], keys: Sequence[str]) -> None:
    if len(answered) != len(keys):
        raise ChunkError(f"{len(answered)} values answer {len(keys)} keys")


def _json_body(results: Sequence[Result], more: Mapping[str, Any]) -> bytes | None:
    """The whole document at once; None if a value is one of the rare kinds that orjson alone cannot encode."""
    data: dict[str, Any] = {}
    missing: list[str] = []
    for result in results:
        keys = result.part.keys
        try:
            lengths, values = decode_values(result.outcome.payload, plain_decoder)
        except ChunkError:
            return None
        _check_count(lengths, keys)
        if len(values) == len(keys):
            data.update(zip(keys, values, strict=True))
        else:
            missing += [key for key, length in zip(keys, lengths, strict=True) if not length]
            found = (key for key, length in zip(keys, lengths, strict=True) if length)
            data.update(zip(found, values, strict=True))
    document = {"data": data, "not_found": missing} if missing else {"data": data}
    return orjson.dumps({**document, **more} if more else document, option=_STRICT)


class _Piece:
    """Some keys that were found, the lengths of their values, and the values in one piece."""

    __slots__ = ("keys", "lengths", "values")

    def __init__(self, keys: list[str], lengths: list[int], values: memoryview) -> None:
        self.keys = keys
        self.lengths = lengths
        self.values = values


def _pieces(result: Result, missing: list[str]) -> Iterator[_Piece]:
    """The keys of a part that were found, in pieces of one step each; the other keys are added to `missing`."""
    keys, payload = result.part.keys, memoryview(result.outcome.payload)
    all_lengths, begin = split_lengths(result.outcome.payload)
    _check_count(all_lengths, keys)
    lengths = all_lengths.tolist()
    if 0 in all_lengths:
        missing += [key for key, length in zip(keys, lengths, strict=True) if not length]
        keys = [key for key, length in zip(keys, lengths, strict=True) if length]
        lengths = [length for length in lengths if length]
    edges = list(accumulate(lengths, initial=begin))
    first = 0
    while first < len(keys):
        last = min(first + STEP_KEYS, len(keys), bisect_left(edges, edges[first] + STEP_BYTES, first + 1))
        yield _Piece(keys[first:last], lengths[first:last], payload[edges[first] : edges[last]])
        first = last


def _large_json_body(results: Sequence[Result], more: Mapping[str, Any]) -> Steps[bytearray]:
    missing: list[str] = []
    # It grows in place: joining the pieces at the end would take one long step, and twice the memory.
    body = bytearray(b'{"data":{')
    for result in results:
        for piece in _pieces(result, missing):
            body += _members(piece)
            body += b","
            yield
    if body.endswith(b","):
        del body[-1]
    body += b"}"
    for name, member in _last(missing, more).items():
        body += b',"%b":' % name.encode()
        body += orjson.dumps(member)
        yield
    body += b"}"
    return body


def _members(piece: _Piece) -> bytes:
    """The members of a JSON object, without its braces."""
    try:
        values = plain_decoder.decode(array_header(len(piece.keys)) + piece.values)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return b",".join(_one_by_one(piece))
    return orjson.dumps(dict(zip(piece.keys, values, strict=True)), option=_STRICT)[1:-1]


def _one_by_one(piece: _Piece) -> Iterator[bytes]:
    for key, length, end in zip(piece.keys, piece.lengths, accumulate(piece.lengths), strict=True):
        encoded = bytes(piece.values[end - length : end])
        yield _any_json(key, encoded, as_member=True)[1:-1]


def _any_json(key: str, encoded: bytes, *, as_member: bool) -> bytes:
    """The JSON of a value, or of an object with it, whatever form of MessagePack is stored."""
    try:
        # The decoder refuses map keys that are neither texts nor bytes before it makes objects of them.
        value = msgpack.unpackb(encoded, strict_map_key=True)
        return orjson.dumps({key: value} if as_member else value, option=_STRICT)
    except (ValueError, TypeError):
        _check_sound(encoded)
        detail = f"JSON cannot express the value of key {key!r}; ask with 'Accept: application/msgpack'"
        raise at(Kind.NOT_ACCEPTABLE, detail, "data", key) from None


def json_value(key: str, encoded: bytes) -> bytes:
    """The JSON text of the value stored under a key.

    Raises:
        Problem: 406, JSON cannot express it.
        ChunkError: the stored bytes are not a value.
    """
    try:
        (value,) = plain_decoder.decode(array_header(1) + encoded)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _any_json(key, encoded, as_member=False)
    return orjson.dumps(value, option=_STRICT)


def check_stored(found: Stored, max_bytes: int) -> int:
    """The size of one stored value in bytes.

    Raises:
        Problem: 413, the value is too large.
    """
    size = memoryview(found.value).nbytes
    if size > max_bytes:
        raise Problem(Kind.ANSWER_TOO_LARGE, f"the value has {size} bytes, {max_bytes} are allowed")
    return size


def _check_sound(encoded: bytes) -> None:
    """Check that the bytes are a value."""
    try:
        end = at_once(walk(encoded))
    except ValueNotKeptError:
        return
    except IndexError:
        end = 0
    if end != len(encoded):
        raise ChunkError("a value does not decode")


def _last(missing: Sequence[str], more: Mapping[str, Any]) -> Mapping[str, Any]:
    """The members of an answer that follow its data."""
    return {"not_found": missing, **more} if missing else more


def _msgpack_body(results: Sequence[Result], more: Mapping[str, Any]) -> bytes:
    """The document with every value as the stored bytes, whatever form of MessagePack they have."""
    pairs: list[tuple[str, bytes | None]] = []
    for result in results:
        values = slice_values(result.outcome.payload)
        _check_count(values, result.part.keys)
        pairs += zip(result.part.keys, values, strict=True)
    missing = [key for key, value in pairs if value is None]
    found = [(key, value) for key, value in pairs if value is not None]
    last = _last(missing, more)
    return b"".join((_msgpack_head(len(found), last), *_msgpack_members(found), *_msgpack_end(last)))


def _msgpack_head(found: int, last: Mapping[str, Any]) -> bytes:
    return map_header(1 + len(last)) + _pack("data") + map_header(found)


def _msgpack_members(found: Sequence[tuple[str, bytes]]) -> Iterator[bytes]:
    for key, value in found:
        yield _pack(key)
        yield value


def _msgpack_end(last: Mapping[str, Any]) -> Iterator[bytes]:
    for name, member in last.items():
        yield _pack(name) + _pack(member)


def _large_msgpack_body(results: Sequence[Result], more: Mapping[str, Any]) -> Steps[bytearray]:
    missing: list[str] = []
    pieces = [piece for result in results for piece in _pieces(result, missing)]
    last = _last(missing, more)
    body = bytearray(_msgpack_head(sum(len(piece.keys) for piece in pieces), last))
    for piece in pieces:
        for key, length, end in zip(piece.keys, piece.lengths, accumulate(piece.lengths), strict=True):
            body += _pack(key)
            body += piece.values[end - length : end]
        yield
    for member in _msgpack_end(last):
        body += member
        yield
    return body
