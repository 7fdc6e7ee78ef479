"""Damaged bytes: cut, inverted, moved, or with wrong numbers."""

import struct
from collections.abc import Callable

from hypothesis import strategies as st

from tests.fuzz.chance import Chance, made

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
    b"\x91" * 20_000,
    b"\x81\xa1a" * 10_000,
    b"[" * 5000,
    b"\r\n",
    b"*-1\r\n",
    b"$-1\r\n",
    b"%1\r\n*0\r\n:1\r\n",
)
"""Bytes that decoders may mishandle, at any place."""


def damaged(chance: Chance, data: bytes) -> bytes:
    """The bytes with one to three faults."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        data = _KINDS[chance.randrange(len(_KINDS))](chance, data, at)
    return data


def damages(source: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes of `source`, damaged."""
    return st.tuples(made(lambda chance: chance), source).map(lambda drawn: damaged(*drawn))


def _cut(_: Chance, data: bytes, at: int) -> bytes:
    return data[:at]


def _lose(chance: Chance, data: bytes, at: int) -> bytes:
    return data[:at] + data[at + chance.randint(1, 8) :]


def _flip(chance: Chance, data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :] if at < len(data) else data


def _change(chance: Chance, data: bytes, at: int) -> bytes:
    return data[:at] + chance.randbytes(1) + data[at + 1 :]


def _insert(chance: Chance, data: bytes, at: int) -> bytes:
    piece = chance.choice(_PIECES) if chance.random() < 0.5 else chance.randbytes(chance.randint(1, 8))
    return data[:at] + piece + data[at:]


def _number(chance: Chance, data: bytes, at: int) -> bytes:
    return data[:at] + struct.pack(chance.choice("<>") + "I", chance.choice(_NUMBERS)) + data[at + 4 :]


def _repeat(chance: Chance, data: bytes, at: int) -> bytes:
    return data[:at] + data[at : at + chance.randint(1, 40)] + data[at:]


def _turn(_: Chance, data: bytes, at: int) -> bytes:
    return data[at:] + data[:at]


_KINDS: tuple[Callable[[Chance, bytes, int], bytes], ...] = (
    *(_cut, _lose, _flip, _flip, _change, _change, _insert, _number, _repeat, _turn),
)
