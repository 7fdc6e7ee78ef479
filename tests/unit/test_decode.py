"""Which format a body has, and the bodies of reads and deletes."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from api.batch.counted_names import REPEATS
from api.batch.decode import decode_keys
from api.batch.steps import AT_ONCE
from api.http.negotiation import Format, accepted, format_of
from api.http.problems import Kind, Problem
from protocol.settings import BatchSettings

pack = msgspec.msgpack.encode
LIMITS = BatchSettings(max_batch_keys=10)
ENCODE: dict[Format, Callable[[Any], bytes]] = {Format.JSON: msgspec.json.encode, Format.MSGPACK: pack}


@pytest.mark.parametrize("header", [None, b"application/json", b"APPLICATION/JSON", b"application/json; charset=UTF-8"])
def test_a_body_with_the_type_of_json_or_without_a_type_is_json(header: bytes | None) -> None:
    assert format_of(header) is Format.JSON


@pytest.mark.parametrize("header", [b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack"])
def test_a_body_with_any_type_of_messagepack_is_messagepack(header: bytes) -> None:
    assert format_of(header) is Format.MSGPACK


@pytest.mark.parametrize("header", [b"text/plain", b"", b"application/json; charset=latin-1", b"application/jsonx"])
def test_a_body_of_any_other_type_is_refused(header: bytes) -> None:
    with pytest.raises(Problem) as caught:
        format_of(header)
    assert caught.value.kind is Kind.UNSUPPORTED_MEDIA_TYPE


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Format.JSON),
        (b"*/*", Format.JSON),
        (b"application/msgpack", Format.MSGPACK),
        (b"Application/MsgPack", Format.MSGPACK),
        (b"application/json, application/msgpack", Format.MSGPACK),
        (b"application/json, application/msgpack;q=0.5", Format.JSON),
        (b"application/json;q=0.1, application/msgpack;q=0.5", Format.MSGPACK),
        (b"application/msgpack;q=0", Format.JSON),
    ],
)
def test_an_answer_is_messagepack_if_that_is_accepted_and_json_not_preferred(
    header: bytes | None, expected: Format
) -> None:
    assert accepted(header) is expected


def test_repeated_keys_are_read_once_in_order() -> None:
    assert decode_keys(b'{"keys": ["b", "a", "b"]}', Format.JSON, LIMITS)[0] == ["b", "a"]
    assert decode_keys(pack({"keys": ["b", "a", "b"]}), Format.MSGPACK, LIMITS)[0] == ["b", "a"]


@pytest.mark.parametrize("body", [b'{"keys": "k"}', b'{"keys": [1]}', b'{"key": []}', b'{"keys": [null]}'])
def test_keys_that_are_not_a_list_of_texts_are_refused(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        decode_keys(body, Format.JSON, LIMITS)
    assert caught.value.kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize("body", [b"1e400", b"[" * 5000, b"9" * 5000])
def test_an_error_in_a_body_without_values_does_not_name_a_value(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        decode_keys(body, Format.JSON, LIMITS)
    assert caught.value.kind is Kind.INVALID_REQUEST


LONG = "k" * (AT_ONCE // 10)


@pytest.mark.parametrize("body_format", Format)
def test_repeated_keys_of_a_large_body_are_read_once_in_order(body_format: Format) -> None:
    keys = [LONG + str(number % 10) for number in range(REPEATS * LIMITS.max_batch_keys)]
    assert decode_keys(ENCODE[body_format]({"keys": keys}), body_format, LIMITS)[0] == keys[:10]


@pytest.mark.parametrize("body_format", Format)
def test_a_large_body_that_names_the_same_keys_too_often_is_refused(body_format: Format) -> None:
    keys = ["k"] * (REPEATS * LIMITS.max_batch_keys) + [LONG * 10, "not read"]
    with pytest.raises(Problem, match="more than 80 keys") as caught:
        decode_keys(ENCODE[body_format]({"keys": keys}), body_format, LIMITS)
    assert caught.value.kind is Kind.TOO_MANY_KEYS
    assert caught.value.members["errors"][0]["pointer"] == "#/keys"


@pytest.mark.parametrize("body_format", Format)
def test_the_keys_of_a_large_body_must_be_texts(body_format: Format) -> None:
    with pytest.raises(Problem, match="Expected `str`") as caught:
        decode_keys(ENCODE[body_format]({"keys": [LONG * 10, 1]}), body_format, LIMITS)
    assert caught.value.kind is Kind.INVALID_REQUEST


def test_the_name_of_an_unknown_member_is_shortened_in_the_problem() -> None:
    with pytest.raises(Problem) as caught:
        decode_keys(ENCODE[Format.JSON]({"x" * 1_000_000: 1}), Format.JSON, LIMITS)
    assert len(caught.value.body("id")) < 2000
