"""Request bodies against other libraries: the API keeps accepted values exactly, and refuses all others with a 400."""

import json
from types import TracebackType
from typing import Any, Self

import msgpack
import msgspec
from hypothesis import event
from hypothesis import strategies as st

from api.auth.login_request import decode_login
from api.batch.decode import decode_keys
from api.http.negotiation import Format, accepted, format_of
from api.http.problems import Kind, Problem
from tests.contract.samples import same
from tests.fuzz import wide
from tests.fuzz.chance import Chance, made, text
from tests.fuzz.damage import damages
from tests.fuzz.effort import fuzz
from tests.fuzz.reference import Pairs, can_be_kept, json_value, msgpack_can_be_kept, read_json, read_msgpack
from tests.write_bodies import LIMITS, Way, stored


class Refusal:
    """A `with` block in which a body may be refused with a problem of status 400 that can be rendered."""

    def __init__(self) -> None:
        self.happened = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if not isinstance(error, Problem):
            return False
        assert error.status == 400
        assert error.detail
        assert json.loads(error.body("id"))["status"] == 400
        event(f"refused: {error.kind.name}")
        self.happened = True
        return True


def kept(body: bytes, body_format: Format) -> dict[str, bytes] | None:
    """What a write would store, by key; None if it is refused. Checks that both decoders (small, large) agree."""
    found: list[dict[str, bytes] | None] = []
    for way in Way:
        with Refusal() as refusal:
            found.append(stored(body, body_format, way))
        if refusal.happened:
            found.append(None)
    assert found[0] == found[1]
    return found[0]


def expected_of_json(body: bytes) -> dict[str, Any] | None:
    """The content of a write's body according to the reference; None if it must be refused."""
    try:
        document = read_json(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or set(document) != {"data"} or not isinstance(document["data"], dict):
        return None
    data = document["data"]
    if not data or not all(0 < len(key.encode("utf-8", "surrogatepass")) <= LIMITS.max_key_bytes for key in data):
        return None
    return data if all(can_be_kept(item) for member in data.items() for item in member) else None


def assert_like_reference(body: bytes) -> None:
    found, expected = kept(body, Format.JSON), expected_of_json(body)
    assert (found is None) == (expected is None), (found, expected)
    if found is not None and expected is not None:
        assert same({key: msgspec.msgpack.decode(value) for key, value in found.items()}, expected)


def write_in_json(chance: Chance) -> bytes:
    """The body of a write in one of the possible spellings of JSON."""
    data = {text(chance) or "a": json_value(chance) for _ in range(chance.randint(1, 4))}
    written = json.dumps({"data": data}, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, None, 1)))
    return written.encode("utf-8", "surrogatepass")


_TEXTS = (
    *('{"data":{', '{"data":{"a":', '"a":', '"b"', '"data"', "{", "}", "}", "}}", "[", "]", ",", ":", " ", "\n", "\t"),
    *("null", "true", "false", "0", "-0", "-0.0", "1", "-", "+", ".", "e", "E", "e400", "e-400", "00", "1e2", "1.5"),
    *("18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809", "1E400"),
    *("0.1000000000000000055511151231257827", "NaN", "Infinity", "-Infinity", "nul", "True", "'a'", "//", "/*", "#"),
    *('"', '\\"', "\\", "\\u", "\\ud83d", "\\ude00", "\\u0000", "\\u00e9", "\\n", "\\x", '""', "\u00e9", "\U0001f600"),
    *("\x00", "\x1f", "\x7f", "\xa0", "\u2028", "\ufeff"),
)
_BROKEN = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80")
_TOKENS = (*map(str.encode, _TEXTS), *_BROKEN)


json_writes = made(write_in_json)


@fuzz(json_writes, examples=300)
def test_a_json_write_is_stored_exactly_or_refused(body: bytes) -> None:
    assert_like_reference(body)


@fuzz(damages(json_writes), examples=400)
def test_a_damaged_json_write_is_read_as_other_libraries_read_it_or_refused(body: bytes) -> None:
    assert_like_reference(body)


def row_of_tokens(chance: Chance) -> bytes:
    return b"".join(chance.choice(_TOKENS) for _ in range(chance.randrange(13)))


@fuzz(made(row_of_tokens), examples=500)
def test_any_sequence_of_json_tokens_is_read_as_other_libraries_read_it_or_refused(value: bytes) -> None:
    assert_like_reference(value)
    assert_like_reference(b'{"data":{"a":' + value + b"}}")


@fuzz(made(wide.write), examples=300)
def test_a_messagepack_write_is_stored_byte_for_byte_or_refused(body: bytes) -> None:
    assert_bytes_kept(body)


@fuzz(damages(made(wide.write)), examples=400)
def test_a_damaged_messagepack_write_is_stored_byte_for_byte_or_refused(body: bytes) -> None:
    assert_bytes_kept(body)


def expected_of_msgpack(body: bytes) -> dict[str, Any] | None:
    """The content of a write's body according to the reference; None if it must be refused."""
    try:
        document = read_msgpack(body)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    if not isinstance(document, Pairs) or [name for name, _ in document] != ["data"]:
        return None
    data = document[0][1]
    if not isinstance(data, Pairs) or not data or not all(isinstance(key, str) for key, _ in data):
        return None
    # If a key occurs twice, the last value counts, but both values must be valid.
    members = dict(data)
    fits = all(0 < len(key.encode()) <= LIMITS.max_key_bytes for key in members)
    return members if fits and all(map(msgpack_can_be_kept, members.values())) else None


def assert_bytes_kept(body: bytes) -> None:
    found, expected = kept(body, Format.MSGPACK), expected_of_msgpack(body)
    assert (found is None) == (expected is None), (found, expected)
    if found is not None and expected is not None:
        assert list(found) == list(expected)
        for key, value in found.items():
            # Compare by text, which shows types and signs, and by the bytes in the body.
            assert repr(read_msgpack(value)) == repr(expected[key])
            assert value in body


def call_with_keys(chance: Chance) -> bytes:
    document = {"keys": [text(chance) for _ in range(chance.randrange(6))]}
    return json.dumps(document).encode() if chance.random() < 0.5 else msgspec.msgpack.encode(document)


def login(chance: Chance) -> bytes:
    document = {"username": text(chance), "password": text(chance)}
    return json.dumps(document).encode() if chance.random() < 0.5 else msgspec.msgpack.encode(document)


@fuzz(made(call_with_keys) | damages(made(call_with_keys)), st.sampled_from(Format), examples=300)
def test_keys_are_different_texts_or_refused(body: bytes, body_format: Format) -> None:
    with Refusal() as refusal:
        keys, _ = decode_keys(body, body_format, LIMITS)
    if refusal.happened:
        return
    document = read_json(body) if body_format is Format.JSON else dict(read_msgpack(body))
    assert keys == list(dict.fromkeys(document["keys"]))
    assert all(isinstance(key, str) for key in keys)


@fuzz(made(login) | damages(made(login)), st.sampled_from(Format), examples=300)
def test_a_login_is_two_texts_or_refused(body: bytes, body_format: Format) -> None:
    with Refusal() as refusal:
        found = decode_login(body, body_format)
    if refusal.happened:
        return
    document = read_json(body) if body_format is Format.JSON else dict(read_msgpack(body))
    assert document == {"username": found.username, "password": found.password}


_headers = st.binary(max_size=40) | st.lists(
    st.sampled_from(
        [
            b"application/",
            b"json",
            b"msgpack",
            b";",
            b",",
            b"q=",
            b"0.5",
            b"nan",
            b"-1",
            b"charset=",
            b"utf-8",
            b" ",
            b'"',
        ]
    ),
    max_size=10,
).map(b"".join)


@fuzz(_headers, examples=300)
def test_any_content_type_names_a_format_or_is_refused(header: bytes) -> None:
    assert accepted(header) in Format
    try:
        found = format_of(header)
    except Problem as problem:
        event(problem.kind.name)
        if problem.kind is not Kind.UNSUPPORTED_MEDIA_TYPE:
            raise
    else:
        assert found in Format
