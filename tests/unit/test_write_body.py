"""The bodies of writes: what the API stores, and how a problem names a fault. Both decoders read each body."""

import math
from typing import Any

import msgspec
import pytest

from api.batch.counted_names import REPEATS
from api.batch.faulty_keys import MAX_BYTES
from api.http.negotiation import Format
from api.http.problems import Kind, Problem
from protocol.settings import BatchSettings
from tests.fuzz.corpus import KEPT, REFUSED
from tests.write_bodies import LIMITS, Way, stored

pack = msgspec.msgpack.encode


@pytest.fixture(params=Way, ids=[way.value for way in Way])
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


def problem_of(way: Way, body: bytes, body_format: Format = Format.JSON, limits: BatchSettings = LIMITS) -> Problem:
    with pytest.raises(Problem) as caught:
        stored(body, body_format, way, limits)
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
def test_the_problem_of_a_json_body_names_its_fault(way: Way, body: bytes, kind: Kind) -> None:
    assert problem_of(way, body).kind is kind


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'"\xff"', "UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b"[" * 129 + b"]" * 129, "nested deeper"),
    ],
)
def test_a_json_value_that_cannot_be_stored_is_named_by_its_key(way: Way, value: bytes, reason: str) -> None:
    problem = problem_of(way, b'{"data": {"good": 1, "b/d": ' + value + b"}}")
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
def test_a_messagepack_value_that_cannot_be_stored_is_named_by_its_key(way: Way, value: bytes, reason: str) -> None:
    body = b"\x81" + pack("data") + b"\x82" + pack("good") + pack(1) + pack("bad") + value
    problem = problem_of(way, body, Format.MSGPACK)
    assert problem.kind is Kind.INVALID_VALUE
    assert reason in problem.detail
    assert pointers(problem) == ["#/data/bad"]


@pytest.mark.parametrize("deep", [129, 500, 990, 998, 1000, 1010, 1030, 10_000, 100_000])
@pytest.mark.parametrize("more", [False, True])
def test_a_value_of_any_depth_is_named_by_its_key(way: Way, deep: int, more: bool) -> None:  # noqa: FBT001
    in_json = b'{"data": {"good": [1, "]"], "b/d": ' + b"[" * deep + b"]" * deep + b"}}"
    in_msgpack = b"\x81" + pack("data") + b"\x82" + pack("good") + pack([1]) + pack("b/d") + b"\x91" * deep + b"\x01"
    if more:
        in_json = in_json[:-1] + b', "ttl": 1}'
        in_msgpack = b"\x82" + in_msgpack[1:] + pack("ttl") + b"\x01"
    for problem in (problem_of(way, in_json), problem_of(way, in_msgpack, Format.MSGPACK)):
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
        (b"\x81\xa4data\x82\xa1k\xc1\xa1l" + b"\x91" * 5000, Format.MSGPACK),
    ],
)
def test_a_body_of_any_depth_is_refused(way: Way, body: bytes, body_format: Format) -> None:
    problem = problem_of(way, body, body_format)
    assert problem.status == 400
    assert "errors" not in problem.members


def test_a_messagepack_value_keeps_its_bytes(way: Way) -> None:
    odd = b"\xcd\x00\x01"
    body = b"\x81" + pack("data") + b"\x81" + pack("k") + odd
    assert stored(body, Format.MSGPACK, way) == {"k": odd}


def test_the_last_of_two_members_with_the_same_name_counts(way: Way) -> None:
    assert stored(b'{"data": {"k": 1, "k": 2}}', Format.JSON, way) == {"k": pack(2)}


@pytest.mark.parametrize("number", [b"18446744073709551615", b"-9223372036854775808", b"1.0", b"1e3", b"-0.0"])
def test_a_number_is_read_exactly(way: Way, number: bytes) -> None:
    expected = float(number) if b"." in number or b"e" in number else int(number)
    assert stored(b'{"data": {"k": ' + number + b"}}", Format.JSON, way) == {"k": pack(expected)}


@pytest.mark.parametrize(
    "number", [b"18446744073709551616", b"-9223372036854775809", b"123456789012345678901234567890"]
)
@pytest.mark.parametrize("form", [b"%b", b"[0.5,%b]", b'{"a": {"b":\t%b}}', b"[1.5, [[ %b]]]"])
@pytest.mark.parametrize("more", [b"", b', "t": "' + b"e" * 10_000 + b'"'])
def test_an_integer_beyond_64_bits_never_becomes_a_float(way: Way, number: bytes, form: bytes, more: bytes) -> None:
    problem = problem_of(way, b'{"data": {"good": 1, "bad": ' + form % number + more + b"}}")
    assert pointers(problem) == ["#/data/bad"]
    assert "integer" in problem.detail


@pytest.mark.parametrize("number", [b"18446744073709551616.0", b"1e290", b"-1.7976931348623157e308", b"2.5e-320"])
def test_both_decoders_keep_a_float(way: Way, number: bytes) -> None:
    text = b"e" * 10_000
    found = stored(b'{"data": {"k": [' + number + b'], "t": "' + text + b'"}}', Format.JSON, way)
    assert found == {"k": pack([float(number)]), "t": pack(text.decode())}


@pytest.mark.parametrize("text", [b"", b"e" * 10_000])
def test_both_decoders_name_a_number_that_is_not_finite(way: Way, text: bytes) -> None:
    problem = problem_of(way, b'{"data": {"t": "' + text + b'", "bad": [1e999]}}')
    assert pointers(problem) == ["#/data/bad"]
    assert "out of range" in problem.detail


PAIR = b"\\ud83d\\ude00"
LONG = b'"' + b"x" * MAX_BYTES + b'"'


@pytest.mark.parametrize(
    "value",
    [
        b'"\\ud800"',
        b'"\\uD83D"',
        b'"\\udc00 and more"',
        b'"%b\\ud800"' % PAIR,
        b'"\\ud800%b"' % PAIR,
        b'"\\ud83d\\ud83d\\ude00"',
        b'"\\ud800\\u0041"',
        b'"\\\\ud800 \\ud800"',
        b'["a", {"b": "\\udfff"}]',
        b'{"\\udfff": 1}',
        b'[%b, "\\udfff"]' % LONG,
    ],
)
@pytest.mark.parametrize("behind", [b"", b', "next": "%b \\ud800"' % PAIR, b', "next": %b' % LONG])
def test_half_a_surrogate_pair_is_named_by_its_key(way: Way, value: bytes, behind: bytes) -> None:
    body = b'{"data": {"good": "%b", "a%b/b": %b%b}}' % (PAIR, PAIR, value, behind)
    problem = problem_of(way, body)
    assert problem.kind is Kind.INVALID_VALUE
    assert "surrogate" in problem.detail
    assert pointers(problem) == ["#/data/a%F0%9F%98%80~1b"]


@pytest.mark.parametrize("key", [b"\\ud800", b'say \\"\\ud800\\"', b"%b\\ud800" % PAIR])
def test_a_key_with_half_a_surrogate_pair_is_shown_with_its_escape(way: Way, key: bytes) -> None:
    problem = problem_of(way, b'{"data": {"good": "a\\u0041", "%b": 1}}' % key)
    assert problem.kind is Kind.INVALID_VALUE
    assert "\\ud800" in problem.detail


TIMESTAMPS = {
    "the last one of .NET": b"\xc7\x0c\xff\x3b\x9a\xc9\x9c" + (253402300799).to_bytes(8, "big"),
    "past the year 9999": b"\xc7\x0c\xff\x00\x00\x00\x00" + (253402300800).to_bytes(8, "big"),
    "the first of all": b"\xc7\x0c\xff\x00\x00\x00\x00\x80" + bytes(7),
    "the last of all": b"\xc7\x0c\xff\xff\xff\xff\xff\x7f" + b"\xff" * 7,
    "with more nanoseconds than a second has": b"\xd7\xff" + b"\xff" * 8,
    "of a length that none has": b"\xc7\x03\xffabc",
    "without a byte": b"\xc7\x00\xff",
}


@pytest.mark.parametrize("name", TIMESTAMPS)
@pytest.mark.parametrize("form", [b"%b", b"\x92\x01%b", b"\x81\xa1a%b", b"\x81%b\x01", b"\x81\x91%b\x01"])
def test_a_timestamp_is_kept_as_its_bytes(way: Way, name: str, form: bytes) -> None:
    value = form % TIMESTAMPS[name]
    assert stored(b"\x81\xa4data\x81\xa1k" + value, Format.MSGPACK, way) == {"k": value}


@pytest.mark.parametrize("body_format", Format)
def test_a_batch_that_names_the_same_keys_too_often_is_refused(body_format: Format) -> None:
    limits, count = BatchSettings(max_batch_keys=10), 10 * REPEATS + 1
    if body_format is Format.JSON:
        body = b'{"data": {' + b",".join([b'"k": 1'] * count) + b"}}"
    else:
        body = b"\x81\xa4data\xde" + count.to_bytes(2, "big") + b"\xa1k\x01" * count
    problem = problem_of(Way.IN_STEPS, body, body_format, limits)
    assert problem.kind is Kind.TOO_MANY_KEYS
    assert pointers(problem) == ["#/data"]


@pytest.mark.parametrize("value", [b"[" + b"0," * 99 + b"0]", b'"' + b"," * 101 + b'"', b"[[]" + b",[]" * 99 + b"]"])
def test_a_value_that_is_too_large_is_named_by_its_key(way: Way, value: bytes) -> None:
    limits = BatchSettings(max_value_bytes=100)
    problem = problem_of(way, b'{"data": {"good": 1, "bad": %b}}' % value, limits=limits)
    assert "100 are allowed" in problem.detail
    assert pointers(problem) == ["#/data/bad"]


@pytest.mark.parametrize("body_format", Format)
def test_a_refusal_shortens_a_long_key(way: Way, body_format: Format) -> None:
    key = "k" * 1_000_000
    if body_format is Format.JSON:
        body = b'{"data": {"%b": [1e999]}}' % key.encode()
    else:
        body = b"\x81\xa4data\x81" + pack(key) + b"\xc7\x00\x01"
    assert len(problem_of(way, body, body_format).body("id")) < 2000


def test_a_refusal_does_not_repeat_a_very_long_key(way: Way) -> None:
    problem = problem_of(way, b'{"data": {"%b": 1}}' % (b"k" * 1_000_000))
    assert problem.kind is Kind.INVALID_KEY
    assert len(problem.body("id")) < 2000


@pytest.mark.parametrize("name", KEPT)
def test_valid_json_documents_are_stored(way: Way, name: str) -> None:
    written, expected = KEPT[name]
    body = b'{"data": {"first": 1, "k": ' + written + b"}}"
    assert stored(body, Format.JSON, way) == {"first": pack(1), "k": pack(expected)}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_json_documents_are_refused_and_a_bad_value_is_named(way: Way, name: str) -> None:
    problem = problem_of(way, b'{"data": {"first": 1, "bad": ' + REFUSED[name] + b"}}")
    assert problem.status == 400
    if problem.kind is Kind.INVALID_VALUE:
        assert pointers(problem) == ["#/data/bad"]
