"""Values of every kind, and a comparison that tells `1`, `1.0` and `True` apart, and `0.0` and `-0.0`."""

import math
from typing import Any

DEEPEST = 128


def nested(levels: int, *, kind: str = "array", inside: Any = 1) -> Any:
    """A value with this many levels of arrays, objects, or both in turn."""
    value = inside
    for level in range(levels):
        as_array = kind == "array" or (kind == "mixed" and level % 2)
        value = [value] if as_array else {"a": value}
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type and content, all the way down, members in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(
            same(key, twin) and same(one[key], other[twin]) for key, twin in zip(one, other, strict=True)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


JSON_VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "one as a float": 1.0,
    "minus one": -1,
    "zero as a float": 0.0,
    "minus zero": -0.0,
    "a fraction": 0.1,
    "the largest float": 1.7976931348623157e308,
    "the smallest float": 5e-324,
    "2^53 + 1": 2**53 + 1,
    "2^63 - 1": 2**63 - 1,
    "2^63": 2**63,
    "2^64 - 1": 2**64 - 1,
    "-2^63": -(2**63),
    "a large whole float": 1e300,
    "2^63 as a float": float(2**63),
    "an empty text": "",
    "an empty object": {},
    "an empty array": [],
    "an array that ends in null": [1, None, 2, None],
    "empty things in an array": [{}, [], "", None, {"a": {}, "b": []}],
    "an object with an empty name": {"": {"": ""}},
    "an object with numbers as names": {"1": 1, "10": 10, "2": 2},
    "members out of order": {"b": 1, "a": 2, "c": {"z": 1, "y": 2}},
    "a text with NUL": "a\0b\0",
    "controls": "".join(map(chr, range(0x20))) + "\x7f\x80\x9f",
    "quotes and backslashes": '"\\/\b\f\n\r\t',
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "composed": "\u00e9",
    "combining": "e\u0301",
    "from right to left": "\u05d0\u202e\u0645",
    "the ends of the planes": "\ud7ff\ue000\ufffd\ufffe\uffff\U00010000\U0010ffff",
    "line separators": "\u2028\u2029\u0085",
    "a byte order mark": "\ufeff",
    "a text that looks like null": "null",
    "a text that looks like a number": "1.0",
    "a big text": "x\u00e9\u20ac" * 50_000,
    "a big array": list(range(20_000)),
    "the deepest array": nested(DEEPEST),
    "the deepest object": nested(DEEPEST, kind="object"),
    "the deepest mixture": nested(DEEPEST, kind="mixed"),
    "the deepest that is empty": nested(DEEPEST - 1, inside=[]),
}

MSGPACK_VALUES: dict[str, bytes] = {
    "nil": b"\xc0",
    "one in one byte": b"\x01",
    "one in two bytes": b"\xcc\x01",
    "one in nine bytes": b"\xcf" + bytes(7) + b"\x01",
    "one as a signed number": b"\xd3" + bytes(7) + b"\x01",
    "2^64 - 1": b"\xcf" + b"\xff" * 8,
    "-2^63": b"\xd3\x80" + bytes(7),
    "float32": b"\xca\x3f\xc0\x00\x00",
    "float64": b"\xcb\x3f\xf8" + bytes(6),
    "minus zero in four bytes": b"\xca\x80\x00\x00\x00",
    "minus zero in eight bytes": b"\xcb\x80" + bytes(7),
    "a short text in its long form": b"\xdb\x00\x00\x00\x01a",
    "a text with NUL": b"\xa3a\x00b",
    "empty bytes": b"\xc4\x00",
    "bytes that are no UTF-8": b"\xc4\x03\xff\xfe\x00",
    "bytes in their long form": b"\xc6\x00\x00\x00\x01a",
    "an empty array in its long form": b"\xdd\x00\x00\x00\x00",
    "an empty map in its long form": b"\xdf\x00\x00\x00\x00",
    "fixext1": b"\xd4\x2a\x01",
    "fixext16": b"\xd8\x2a" + bytes(range(16)),
    "an empty extension": b"\xc7\x00\x2a",
    "an extension of a negative type": b"\xd5\xf0\x01\x02",
    "an extension of type 0": b"\xd4\x00\x01",
    "an extension of type 9, the first that Tarantool leaves alone": b"\xd4\x09\x01",
    "a large extension": b"\xc8\x01\x2c\x63" + bytes(300),
    "a timestamp in four bytes": b"\xd6\xff\x65\x00\x00\x00",
    "a timestamp in eight bytes": b"\xd7\xff\x00\x00\x00\x04\x65\x00\x00\x00",
    "a timestamp in twelve bytes": b"\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff",
    "the last timestamp of .NET": b"\xc7\x0c\xff\x3b\x9a\xc9\x9c" + (253402300799).to_bytes(8, "big"),
    "the last timestamp of all": b"\xc7\x0c\xff\x3b\x9a\xc9\xff\x7f" + b"\xff" * 7,
    "a timestamp of a length that none has": b"\xc7\x03\xffabc",
    "numbers as names": b"\x82\x01\xa1a\xff\xa1b",
    "nil, truth and bytes as names": b"\x83\xc0\x01\xc3\x02\xc4\x01a\x03",
    "a fraction as a name": b"\x81\xcb\x3f\xf8" + bytes(6) + b"\x01",
    "an array as a name": b"\x81\x92\x01\x02\x03",
    "a name twice": b"\x82\xa1a\x01\xa1a\x02",
    "the deepest array": b"\x91" * DEEPEST + b"\xc0",
    "the deepest map": b"\x81\xa1a" * DEEPEST + b"\xc0",
}

NOT_JSON = (
    "empty bytes",
    "bytes that are no UTF-8",
    "bytes in their long form",
    "fixext1",
    "fixext16",
    "an empty extension",
    "an extension of a negative type",
    "an extension of type 0",
    "an extension of type 9, the first that Tarantool leaves alone",
    "a large extension",
    "a timestamp in four bytes",
    "a timestamp in eight bytes",
    "a timestamp in twelve bytes",
    "the last timestamp of .NET",
    "the last timestamp of all",
    "a timestamp of a length that none has",
    "numbers as names",
    "nil, truth and bytes as names",
    "a fraction as a name",
    "an array as a name",
)
"""The `MSGPACK_VALUES` that JSON cannot express."""
