"""MessagePack in every form that the format allows, not only the shortest one."""

import struct
from collections.abc import Callable

from tests.fuzz.chance import Chance, text

# The first byte of each form by the bytes of its length.
_TEXT = {1: 0xD9, 2: 0xDA, 4: 0xDB}
_BINARY = {1: 0xC4, 2: 0xC5, 4: 0xC6}
_ARRAY = {2: 0xDC, 4: 0xDD}
_MAP = {2: 0xDE, 4: 0xDF}
_EXTENSION = {1: 0xC7, 2: 0xC8, 4: 0xC9}
_LENGTHS = {1: ">BB", 2: ">BH", 4: ">BI"}
_UNSIGNED = ((0xCC, ">BB", 8), (0xCD, ">BH", 16), (0xCE, ">BI", 32), (0xCF, ">BQ", 64))
_SIGNED = ((0xD0, ">Bb", 8), (0xD1, ">Bh", 16), (0xD2, ">Bi", 32), (0xD3, ">Bq", 64))


def value(chance: Chance, levels: int = 4) -> bytes:
    """One value, encoded. Its texts may not be UTF-8, its numbers not finite, its extensions anything."""
    kind = chance.randrange(10 if levels else 7)
    if kind < 7:
        return _SCALARS[kind](chance)
    count = chance.randrange(5)
    if kind == 7:
        return _count(chance, 0x80, _MAP, count) + b"".join(
            (value(chance, 1) if chance.random() < 0.1 else string(chance)) + value(chance, levels - 1)
            for _ in range(count)
        )
    return _count(chance, 0x90, _ARRAY, count) + b"".join(value(chance, levels - 1) for _ in range(count))


def write(chance: Chance) -> bytes:
    """The body of a write."""
    count = chance.randrange(6)
    data = b"".join(string(chance) + value(chance) for _ in range(count))
    return b"\x81\xa4data" + _count(chance, 0x80, _MAP, count) + data


def number(chance: Chance) -> bytes:
    """An integer in any width that has room for it, and some that have more."""
    if chance.random() < 0.3:
        return struct.pack(">b", chance.randint(-32, 127))
    head, form, bits = chance.choice(_UNSIGNED + _SIGNED)
    if head < 0xD0:
        return struct.pack(form, head, chance.getrandbits(chance.randint(1, bits)))
    return struct.pack(form, head, chance.getrandbits(bits) - 2 ** (bits - 1))


def _floating(chance: Chance) -> bytes:
    if chance.random() < 0.3:
        # Any bits, even those of numbers that are not finite.
        return b"\xca" + chance.randbytes(4) if chance.random() < 0.5 else b"\xcb" + chance.randbytes(8)
    if chance.random() < 0.1:
        return struct.pack(">Bd", 0xCB, chance.choice((float("nan"), float("inf"), float("-inf"), -0.0)))
    return struct.pack(">Bd", 0xCB, chance.uniform(-1e6, 1e6))


def string(chance: Chance) -> bytes:
    """A text, a few of them not UTF-8."""
    content = chance.randbytes(3) if chance.random() < 0.02 else text(chance).encode()
    if len(content) < 32 and chance.random() < 0.7:
        return bytes((0xA0 | len(content),)) + content
    return _head(chance, _TEXT, content) + content


def _extension(chance: Chance) -> bytes:
    code = chance.choice((0xFF, 0, 1, 8, 9, chance.randrange(256)))
    power = chance.randrange(6)
    if power < 5:
        return bytes((0xD4 + power, code)) + chance.randbytes(2**power)
    content = chance.randbytes(chance.randrange(20))
    return _head(chance, _EXTENSION, content) + bytes((code,)) + content


def _binary(chance: Chance) -> bytes:
    content = chance.randbytes(chance.randrange(12))
    return _head(chance, _BINARY, content) + content


def _head(chance: Chance, heads: dict[int, int], content: bytes) -> bytes:
    size = chance.choice(tuple(heads))
    return struct.pack(_LENGTHS[size], heads[size], len(content))


def _count(chance: Chance, short: int, heads: dict[int, int], count: int) -> bytes:
    if chance.random() < 0.7:
        return bytes((short | count,))
    size = chance.choice(tuple(heads))
    return struct.pack(_LENGTHS[size], heads[size], count)


_SCALARS: tuple[Callable[[Chance], bytes], ...] = (
    lambda chance: chance.choice((b"\xc0", b"\xc2", b"\xc3")),
    *(number, _floating, string, string, _binary, _extension),
)
