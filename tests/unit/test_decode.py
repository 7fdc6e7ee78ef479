"""Request bodies: formats, and what is wrong with a body named in the problem."""

import math
from typing import Any

import msgspec
import pytest

from api.batch.decode import decode_keys, decode_write
from api.batch.faulty_keys import MAX_BYTES
from api.http.negotiation import Format, accepted, format_of
from api.http.problems import Kind, Problem

pack = msgspec.msgpack.encode


@pytest.mark.parametrize("header", [None, b"application/json", b"APPLICATION/JSON", b"application/json; charset=UTF-8"])
def test_a_json_body_is_known_by_its_type_or_by_none(header: bytes | None) -> None:
    assert format_of(header) is Format.JSON


@pytest.mark.parametrize("header", [b"application/msgpack", b"application/x-msgpack", b"application/vnd.msgpack"])
def test_a_messagepack_body_is_known_by_any_of_its_types(header: bytes) -> None:
    assert format_of(header) is Format.MSGPACK


@pytest.mark.parametrize("header", [b"text/plain", b"", b"application/json; charset=latin-1", b"application/jsonx"])
def test_any_other_type_is_refused(header: bytes) -> None:
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
def test_an_answer_is_messagepack_where_that_is_asked_for_and_json_not_preferred(
    header: bytes | None, expected: Format
) -> None:
    assert accepted(header) is expected


def problem_of(body: bytes, body_format: Format = Format.JSON) -> Problem:
    with pytest.raises(Problem) as caught:
        decode_write(body, body_format)
    return caught.value


def pointers(problem: Problem) -> list[Any]:
    return [error["pointer"] for error in problem.members["errors"]]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", Kind.MALFORMED_BODY),
        (b"{", Kind.MALFORMED_BODY),
        (b'{"data": {"k": 1}} x', Kind.MALFORMED_BODY),
        (b'\xef\xbb\xbf{"data": {"k": 1}}', Kind.MALFORMED_BODY),
        (b"[]", Kind.INVALID_REQUEST),
        (b"{}", Kind.INVALID_REQUEST),
        (b'{"data": []}', Kind.INVALID_REQUEST),
        (b'{"data": {}, "more": 1}', Kind.INVALID_REQUEST),
        (b'{"data": {"k": NaN}}', Kind.MALFORMED_BODY),
        (b'{"data": {"k": 1e999}}', Kind.INVALID_VALUE),
    ],
)
def test_a_json_body_that_is_wrong_is_refused_for_what_is_wrong(body: bytes, kind: Kind) -> None:
    assert problem_of(body).kind is kind


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'"\xff"', "UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b"[" * 129 + b"]" * 129, "nested deeper"),
    ],
)
def test_a_json_value_that_cannot_be_kept_is_named_by_its_key(value: bytes, reason: str) -> None:
    problem = problem_of(b'{"data": {"good": 1, "b/d": ' + value + b"}}")
    assert problem.kind is Kind.INVALID_VALUE
    assert reason in problem.detail
    assert pointers(problem) == ["#/data/b~1d"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (pack(math.nan), "not finite"),
        (b"\xa1\xff", "UTF-8"),
        (b"\x91" * 129 + b"\x01", "nested deeper"),
    ],
)
def test_a_messagepack_value_that_cannot_be_kept_is_named_by_its_key(value: bytes, reason: str) -> None:
    body = b"\x81" + pack("data") + b"\x82" + pack("good") + pack(1) + pack("bad") + value
    problem = problem_of(body, Format.MSGPACK)
    assert problem.kind is Kind.INVALID_VALUE
    assert reason in problem.detail
    assert pointers(problem) == ["#/data/bad"]


@pytest.mark.parametrize("deep", [129, 500, 990, 998, 1000, 1010, 1030, 10_000, 100_000])
def test_a_value_of_any_depth_is_named_by_its_key(deep: int) -> None:
    in_json = b'{"data": {"good": [1, "]"], "b/d": ' + b"[" * deep + b"]" * deep + b"}}"
    in_msgpack = b"\x81" + pack("data") + b"\x82" + pack("good") + pack([1]) + pack("b/d") + b"\x91" * deep + b"\x01"
    for problem in (problem_of(in_json), problem_of(in_msgpack, Format.MSGPACK)):
        assert problem.kind is Kind.INVALID_VALUE
        assert "nested deeper" in problem.detail
        assert pointers(problem) == ["#/data/b~1d"]


@pytest.mark.parametrize(
    ("body", "body_format"),
    [
        (b"[" * 5000, Format.JSON),
        (b'{"data": ' + b"[" * 5000, Format.JSON),
        (b'{"more": 1, "data": {"k": ' + b"[" * 5000, Format.JSON),
        (b'{"data": {"k": 01, "l": ' + b"[" * 5000, Format.JSON),
        (b'{"data": {"k": "' + b"x" * MAX_BYTES + b'", "l": ' + b"[" * 5000, Format.JSON),
        (b"\x91" * 5000, Format.MSGPACK),
        (b"\x81\xa4data" + b"\x91" * 5000, Format.MSGPACK),
        (b"\x81\xa4data\x81" + b"\x91" * 5000, Format.MSGPACK),
        (b"\x82\xa4data\x81\xa1k" + b"\x91" * 5000, Format.MSGPACK),
        (b"\x81\xa4data\x82\xa1k\xc1\xa1l" + b"\x91" * 5000, Format.MSGPACK),
        (b"\x81\xa4data\x82\xa1k" + pack("x" * MAX_BYTES) + b"\xa1l" + b"\x91" * 5000, Format.MSGPACK),
    ],
)
def test_a_body_of_any_depth_is_refused(body: bytes, body_format: Format) -> None:
    problem = problem_of(body, body_format)
    assert problem.status == 400
    assert "errors" not in problem.members


def test_a_messagepack_value_keeps_the_bytes_it_came_as() -> None:
    odd = b"\xcd\x00\x01"
    body = b"\x81" + pack("data") + b"\x81" + pack("k") + odd
    (value,) = decode_write(body, Format.MSGPACK).values()
    assert bytes(value) == odd


def test_the_last_of_two_members_of_one_name_counts() -> None:
    assert decode_write(b'{"data": {"k": 1, "k": 2}}', Format.JSON) == {"k": 2}


@pytest.mark.parametrize("number", [b"18446744073709551615", b"-9223372036854775808", b"1.0", b"1e3", b"-0.0"])
def test_a_number_is_read_exactly(number: bytes) -> None:
    (value,) = decode_write(b'{"data": {"k": ' + number + b"}}", Format.JSON).values()
    assert repr(value) == repr(float(number) if b"." in number or b"e" in number else int(number))


def test_keys_are_read_once_each_in_order() -> None:
    assert decode_keys(b'{"keys": ["b", "a", "b"]}', Format.JSON) == ["b", "a"]
    assert decode_keys(pack({"keys": ["b", "a", "b"]}), Format.MSGPACK) == ["b", "a"]


@pytest.mark.parametrize("body", [b'{"keys": "k"}', b'{"keys": [1]}', b'{"key": []}', b'{"keys": [null]}'])
def test_keys_that_are_no_list_of_texts_are_refused(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        decode_keys(body, Format.JSON)
    assert caught.value.kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize("body", [b"1e400", b"[" * 5000, b"9" * 5000])
def test_where_no_value_is_written_none_is_blamed(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        decode_keys(body, Format.JSON)
    assert caught.value.kind is Kind.INVALID_REQUEST
