"""The items of a scan's page in both formats."""

import base64
import json

import msgspec
import pytest

from api.batch.steps import at_once
from api.http.negotiation import Format
from api.http.problems import Kind, Problem
from api.scan.items import lines
from api.scan.page import page
from api.scan.selection import Selection
from protocol.chunks import ChunkError
from protocol.scans import Asked, Item, State, decode_piece

TOLD = Selection(version=True, expires_at=True)


def item(key: str, value: bytes, version: int = 0, expires_ms: int | None = None) -> Item:
    return Item(key, 1, msgspec.Raw(value), version, expires_ms)


PLAIN = [
    item("a", msgspec.msgpack.encode({"n": [1, 1.0, None, "ü"]}), 0x6A1, 1798761600500),
    item("b", msgspec.msgpack.encode(2**64 - 1), 16),
    item("😀", b"\xc0"),
]


def test_a_page_has_for_each_key_what_the_request_asked_for() -> None:
    answer = at_once(page(PLAIN, TOLD, "next", Format.JSON))
    assert json.loads(answer.body) == {
        "items": [
            {"key": "a", "value": {"n": [1, 1.0, None, "ü"]}, "version": "6a1", "expires_at": 1798761600.5},
            {"key": "b", "value": 2**64 - 1, "version": "10"},
            {"key": "😀", "value": None, "version": "0"},
        ],
        "cursor": "next",
        "complete": False,
    }
    assert msgspec.msgpack.decode(at_once(page(PLAIN, TOLD, "next", Format.MSGPACK)).body) == json.loads(answer.body)


@pytest.mark.parametrize("accept", list(Format))
def test_a_page_may_have_only_keys_or_be_empty(accept: Format) -> None:
    decode = msgspec.json.decode if accept is Format.JSON else msgspec.msgpack.decode
    keys = at_once(page(PLAIN, Selection(values=False), None, accept))
    assert decode(keys.body) == {"items": [{"key": "a"}, {"key": "b"}, {"key": "😀"}], "complete": True}
    empty = at_once(page([], Selection(), "next", accept))
    assert decode(empty.body) == {"items": [], "cursor": "next", "complete": False}


def test_many_items_are_one_document() -> None:
    many = [item(f"{number:05d}", b"\xa1x") for number in range(1001)]
    for accept, decode in ((Format.JSON, msgspec.json.decode), (Format.MSGPACK, msgspec.msgpack.decode)):
        document = decode(at_once(page(many, Selection(), None, accept)).body)
        assert [each["key"] for each in document["items"]] == [each.key for each in many]


BINARY = item("bin", b"\xc4\x02\x00\xff")


def test_a_page_that_json_cannot_express_is_refused_with_the_place_of_the_value() -> None:
    with pytest.raises(Problem) as caught:
        at_once(page([*PLAIN, BINARY], Selection(), None, Format.JSON))
    assert caught.value.kind is Kind.NOT_ACCEPTABLE
    assert caught.value.members["errors"][0]["pointer"] == "#/items/3/value"
    document = msgspec.msgpack.decode(at_once(page([*PLAIN, BINARY], Selection(), None, Format.MSGPACK)).body)
    assert document["items"][3]["value"] == b"\x00\xff"


UNUSUAL = {
    "bin": b"\xc4\x01x",
    "an extension": b"\xd4\x2ax",
    "a timestamp": b"\xd6\xff\x00\x00\x00\x01",
    "a short float": b"\xca\x3f\x80\x00\x00",
    "a long integer": b"\xcd\x00\x01",
    "a long text": b"\xd9\x01a",
    "a member twice": b"\x82\xa1a\x01\xa1a\x02",
    "a number as a key": b"\x81\x01\x02",
    "not a number": b"\xcb\x7f\xf8" + bytes(6),
    "no UTF-8": b"\xa1\xff",
    "bin deep inside": b"\x91" * 20 + b"\xc4\x00",
}
USUAL = {
    "deep": b"\x91" * 100 + b"\x90",
    "a float": b"\xcb\x3f\xf0" + bytes(6),
    "minus zero": b"\xcb\x80" + bytes(7),
    "a large integer": b"\xcf" + b"\xff" * 8,
    "a small integer": b"\xd3\x80" + bytes(7),
    "a text": b"\xa4" + "😀".encode(),
    "an empty object": b"\x80",
}


@pytest.mark.parametrize("name", [*UNUSUAL, *USUAL])
def test_a_line_keeps_every_value_exactly(name: str) -> None:
    """Also beside other values, whose lines do not change."""
    encoded = (UNUSUAL | USUAL)[name]
    first, line, last = lines([PLAIN[0], item("k", encoded), PLAIN[1]], TOLD).splitlines()
    assert (first, last) == tuple(lines([PLAIN[0], PLAIN[1]], TOLD).splitlines())
    document = json.loads(line)
    if name in UNUSUAL:
        assert base64.b64decode(document["value_msgpack"]) == encoded
        assert "value" not in document
    else:
        assert msgspec.msgpack.encode(document["value"]) == encoded
        assert "value_msgpack" not in document


def test_bounds_that_are_not_utf_8_are_encoded_as_texts() -> None:
    for size in (1, 31, 32, 255, 256, 1024, 70_000):
        body = Asked(b"\xff" * size, False, None, True, False, 5, True, 9, 1, 30000).body()
        elements = msgspec.msgpack.decode(body, type=list[msgspec.Raw])
        assert bytes(elements[0])[0] in (*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB)
        assert bytes(elements[0]).endswith(b"\xff" * size)
        assert [msgspec.msgpack.decode(each) for each in elements[1:]] == [
            False,
            None,
            True,
            False,
            5,
            True,
            9,
            1,
            30000,
        ]


def piece(position: bytes, *tuples: bytes) -> bytes:
    return b"\x95\x01\xcd\x03\xe8\x91\x92\x01\x0a" + position + bytes((0x90 | len(tuples),)) + b"".join(tuples)


def test_keys_that_are_not_utf_8_are_skipped() -> None:
    """Another application may have stored them; no client of the api can name them."""
    found = decode_piece(piece(b"\xa1\xff", b"\x93\xa1a\x01\x02", b"\x93\xa1\xff\x01\x02"))
    assert [each.key for each in found.items] == ["a"]
    assert (found.state, found.wait_s, found.ranges, found.position) == (State.MORE, 0.001, ((1, 10),), b"\xff")


@pytest.mark.parametrize("odd", [b"", b"\x95", piece(b"\xc0"), piece(b"\x01"), piece(b"\xa1a", b"\x91\xa1a"), b"\xc1"])
def test_an_answer_that_is_not_one_of_a_scan_is_refused(odd: bytes) -> None:
    with pytest.raises(ChunkError):
        decode_piece(odd)
