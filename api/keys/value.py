"""A value as the body of a PUT, with the rules for values of a batch, and as the body of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from api.batch.json_write import encoded_json
from api.batch.msgpack_write import check_msgpack
from api.batch.read_answer import json_value
from api.batch.refused_body import empty_body, refuse, too_large
from api.batch.steps import Steps
from api.http.negotiation import Format
from api.http.problems import Kind, Problem, pointer
from api.http.response import MEDIA_TYPES, Answer
from protocol.changes import Stored

TEXT_PER_BYTE = 8
"""Bytes of a body for each byte that its value may have: a character of two bytes may take six in JSON."""


def value_of(key: str, body: bytes, body_format: Format, max_size: int) -> Steps[msgspec.Raw]:
    """The value of `key` in a body, as MessagePack.

    Raises:
        Problem: 400, it is malformed, or cannot be stored unchanged.
    """
    if not body:
        raise empty_body()
    with _of_the_body(key):
        if body_format is Format.JSON:
            try:
                return msgspec.Raw((yield from encoded_json(key, body, max_size)))
            except Problem:
                _check_json(body)
                raise
        try:
            value = msgspec.msgpack.decode(body, type=msgspec.Raw)
        except (msgspec.MsgspecError, ValueError) as error:
            refuse(error, body_format, Kind.INVALID_VALUE)
        except RecursionError:
            value = msgspec.Raw(body)
        if len(body) > max_size:
            raise too_large(key, len(body), max_size)
        yield
        yield from check_msgpack(key, value)
        return value


def _check_json(body: bytes) -> None:
    """Check that a refused body is JSON at least.

    Raises:
        Problem: 400, it is not.
    """
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except RecursionError:
        return
    except (msgspec.MsgspecError, ValueError) as error:
        # The check of values tells half a surrogate pair from text that is not JSON.
        if b"\\u" not in body:
            refuse(error, Format.JSON, Kind.INVALID_VALUE)


@contextmanager
def _of_the_body(key: str) -> Iterator[None]:
    """Make problems of a value point at its place: the whole body."""
    try:
        yield
    except Problem as problem:
        begin = pointer("data", key)
        for error in problem.members.get("errors", ()):
            error["pointer"] = "#" + error["pointer"].removeprefix(begin).removeprefix("#/data")
        raise


def value_answer(found: Stored, accept: Format) -> Steps[Answer]:
    """The answer with a stored value.

    Raises:
        Problem: 406, JSON cannot express it.
        ChunkError: the stored bytes are not a value.
    """
    yield
    encoded = bytes(found.value)
    body = encoded if accept is Format.MSGPACK else json_value(found.key, encoded)
    return Answer(200, MEDIA_TYPES[accept], body)
