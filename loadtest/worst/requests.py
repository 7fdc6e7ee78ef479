"""The requests: each makes the api work for as long as one request of its kind can."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from protocol.settings import BatchSettings

JSON = "application/json"
MSGPACK = "application/msgpack"
LIMITS = BatchSettings()
BODY_BYTES = LIMITS.max_body_bytes
VALUE_BYTES = LIMITS.max_value_bytes
VALUES = BODY_BYTES // VALUE_BYTES - 1
"""The number of values of the largest size in one body."""

KEYS = LIMITS.max_batch_keys


@dataclass(frozen=True)
class Request:
    """A request: its subject, its path and formats, and its body, which is made when it is needed."""

    name: str
    path: str
    content_type: str
    body: Callable[[], bytes]
    accept: str = JSON
    stored: tuple[Callable[[], bytes], ...] = ()
    """The bodies of the writes that come before it, in MessagePack."""


def _times(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


def _json_array(element: bytes, count: int) -> bytes:
    return b"[" + b",".join([element] * count) + b"]"


def _json_write(value: bytes, count: int) -> bytes:
    body = b'{"data":{' + b",".join(b'"worst:%d":%b' % (number, value) for number in range(count)) + b"}}"
    if len(body) > BODY_BYTES:
        raise AssertionError(f"{len(body)} bytes are more than a body may have")
    return body


def _filled(value: bytes) -> bytes:
    """As many copies of a value as a body can have."""
    return _json_write(value, (BODY_BYTES - 100) // (len(value) + 20))


def _text(value: str, size: int) -> bytes:
    """A key in MessagePack."""
    name = value.ljust(size, "k").encode()
    return b"\xda" + len(name).to_bytes(2, "big") + name


def _msgpack_write(value: bytes, count: int, first: int = 0) -> bytes:
    pairs = b"".join(_text(f"worst:{number}", 1) + value for number in range(first, first + count))
    return b"\x81\xa4data\xdf" + count.to_bytes(4, "big") + pairs


def array(element: bytes, size: int = VALUE_BYTES) -> bytes:
    """A MessagePack array of the same element, of `size` bytes at most."""
    count = (size - 5) // len(element)
    return b"\xdd" + count.to_bytes(4, "big") + element * count


def map_of(member: bytes, size: int = VALUE_BYTES) -> bytes:
    """The same for a map and its members."""
    count = (size - 5) // len(member)
    return b"\xdf" + count.to_bytes(4, "big") + member * count


def colliding_map(size: int = VALUE_BYTES) -> bytes:
    """A map whose keys are different arrays of numbers for which Python computes equal hashes."""
    alike = [struct.pack(">Bd", 0xCB, 2.0 ** (61 * power)) for power in range(-16, 17)]
    members = [b"\x94" + b"".join(row) + b"\x01" for row in product(alike, repeat=4)][: (size - 5) // 38]
    return b"\xdf" + len(members).to_bytes(4, "big") + b"".join(members)


def _reads(name: str, value: Callable[[], bytes], accept: str) -> Request:
    """A read with the largest answer that is allowed."""
    count = LIMITS.max_answer_bytes // VALUE_BYTES
    steps = range(0, count, VALUES)
    keys = b",".join(b'"%b"' % f"worst:{number}".encode() for number in range(count))
    stored = tuple(lambda first=first: _msgpack_write(value(), min(VALUES, count - first), first) for first in steps)
    return Request(name, "read", JSON, lambda: b'{"keys":[' + keys + b"]}", accept, stored)


def _writes() -> Iterator[Request]:
    def json(name: str, body: Callable[[], bytes]) -> Request:
        return Request(f"write, JSON: {name}", "write", JSON, body)

    def msgpack(name: str, body: Callable[[], bytes]) -> Request:
        return Request(f"write, MessagePack: {name}", "write", MSGPACK, body)

    yield json("empty arrays", lambda: _filled(_json_array(b"[]", VALUE_BYTES - 5)))
    yield json("arrays of one number", lambda: _filled(_json_array(b"[1]", VALUE_BYTES // 2 - 5)))
    yield json("objects of one member", lambda: _filled(_json_array(b'{"a":1}', VALUE_BYTES // 4 - 5)))
    yield json("numbers such as 1e290", lambda: _filled(_json_array(b"1e290", VALUE_BYTES // 9 - 5)))
    yield json("long numbers", lambda: _filled(_json_array(b"1.7976931348623157e-300", VALUE_BYTES // 9 - 5)))
    yield json("vectors of 400 numbers", lambda: _json_write(_json_array(b"0.5", 400), KEYS))
    yield json("texts", lambda: _json_write(b'"' + b"x" * 1600 + b'"', KEYS))
    yield json("texts of escapes", lambda: _filled(b'"' + _times(b"\\u0041", 6 * VALUE_BYTES - 50) + b'"'))
    yield json("one value of the whole body", lambda: _json_write(_json_array(b"[]", BODY_BYTES // 3 - 20), 1))
    yield json("one key again and again", lambda: b'{"data":{' + _times(b'"":0,', BODY_BYTES - 20) + b'"":0}}')
    arrays = BODY_BYTES // 3 - 40
    broken = b'],"l":"\\ud800"}}'
    yield json(
        "half a surrogate pair at the end", lambda: b'{"data":{"k":[' + _times(b"[],", 3 * arrays) + b"0" + broken
    )
    yield json("nested without end", lambda: b'{"data":{"k":' + b"[" * (BODY_BYTES - 20))
    yield msgpack("empty arrays", lambda: _msgpack_write(array(b"\x90"), VALUES))
    yield msgpack("numbers", lambda: _msgpack_write(array(b"\x01"), VALUES))
    yield msgpack("maps with numbers as keys", lambda: _msgpack_write(array(b"\x81\x01\x02"), VALUES))
    yield msgpack("one-byte binaries", lambda: _msgpack_write(array(b"\xc4\x01a"), VALUES))
    yield msgpack("timestamps", lambda: _msgpack_write(array(b"\xd6\xff\x00\x00\x00\x01"), VALUES))
    yield msgpack("map keys that hash alike", lambda: _msgpack_write(colliding_map(), VALUES))
    yield msgpack("one value of the whole body", lambda: _msgpack_write(array(b"\x01", BODY_BYTES - 40), 1))
    repeated = (BODY_BYTES - 20) // 2
    yield msgpack(
        "one key again and again", lambda: b"\x81\xa4data\xdf" + repeated.to_bytes(4, "big") + b"\xa0\x01" * repeated
    )


def requests() -> list[Request]:
    """All requests."""
    longest = b",".join(
        b'"%b"' % f"worst:{number}:".ljust(LIMITS.max_key_bytes, "k").encode() for number in range(KEYS)
    )
    return [
        *_writes(),
        Request("read: most keys of most bytes", "read", JSON, lambda: b'{"keys":[' + longest + b"]}"),
        Request(
            "read: one key again and again",
            "read",
            JSON,
            lambda: b'{"keys":[' + _times(b'"",', BODY_BYTES - 20) + b'""]}',
        ),
        _reads("answer, JSON: empty arrays", lambda: array(b"\x90"), JSON),
        _reads("answer, JSON: empty maps", lambda: array(b"\x80"), JSON),
        _reads("answer, JSON: texts of NUL", lambda: array(b"\xd9\xff" + bytes(255)), JSON),
        _reads("answer, JSON: map keys that hash alike", colliding_map, JSON),
        _reads("answer, MessagePack: texts", lambda: array(b"\xd9\xff" + b"x" * 255), MSGPACK),
    ]
