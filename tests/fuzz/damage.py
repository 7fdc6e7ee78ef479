"""Damaged bytes: cut, flipped, moved, and numbers in them that lie."""

import struct

from hypothesis import strategies as st

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_PIECES = (
    b"\x00",
    b"\xff" * 8,
    b"\xc1",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\xdd\x00\x10\x00\x00",
    b"\xd4\x01\x00",
    b"\xd6\xff\x00\x00\x00\x00",
    b"\x91" * 300,
    b"\x91" * 5000,
    b"\x81\xa1a" * 2000,
    b"[" * 5000,
    b"\r\n",
    b"*-1\r\n",
    b"$-1\r\n",
    b"%1\r\n*0\r\n:1\r\n",
)
"""What a decoder may stumble over, wherever it stands."""


@st.composite
def damages(draw: st.DrawFn, source: st.SearchStrategy[bytes], *, most: int = 3) -> bytes:
    """Bytes of `source` with one to `most` damages."""
    data = bytearray(draw(source))
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(("cut", "lose", "flip", "byte", "insert", "number", "repeat", "swap")))
        if kind == "cut":
            del data[at:]
        elif kind == "lose":
            del data[at : at + draw(st.integers(1, 8))]
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte":
            data[at : at + 1] = bytes((draw(st.integers(0, 255)),))
        elif kind == "insert":
            data[at:at] = draw(st.sampled_from(_PIECES) | st.binary(min_size=1, max_size=8))
        elif kind == "number":
            number = struct.pack(draw(st.sampled_from("<>")) + "I", draw(st.sampled_from(_NUMBERS)))
            data[at : at + 4] = number
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif kind == "swap":
            other = draw(st.integers(0, len(data)))
            data = data[other:] + data[:other]
    return bytes(data)
