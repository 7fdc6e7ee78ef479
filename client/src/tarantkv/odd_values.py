"""Decodes MessagePack that the library `msgpack` refuses: extension types below 0, and invalid timestamps.

The store returns every value unchanged, even those of programs in other languages. They become `msgpack.ExtType` with
their type and bytes, which are encoded again as they were. This is slow, and made only for answers with such a value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from typing import Any

from msgpack import ExtType, Timestamp

TIMESTAMP = -1

_NUMBERS = {
    first: struct.Struct(form)
    for first, form in zip(range(0xCA, 0xD4), (">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q"), strict=True)
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


def unpack_all(body: bytes) -> Any:
    """The value in a MessagePack document.

    Raises:
        ValueError: it is not MessagePack, or more than one value, or a map key holds a map.
    """
    reader = _Reader(body)
    value = reader.value()
    if reader.at != len(body):
        raise ValueError("something follows the value")
    return value


def extension(code: int, data: bytes) -> Any:
    """An extension; a timestamp if it is one."""
    if code == TIMESTAMP:
        try:
            return Timestamp.from_bytes(data)
        except ValueError:
            pass
    # Its constructor accepts no type below 0.
    return tuple.__new__(ExtType, (code, data))


class _Reader:
    """Reads values from `at` on."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        sized: dict[int, Callable[[int], Any]] = {0xC4: self._take, 0xC7: self._extension, 0xD9: self._text}
        self._sized = {first + more: (read, 1 << more) for first, read in sized.items() for more in range(3)}
        self._sized |= {0xDC + more: (self._array, 2 << more) for more in range(2)}
        self._sized |= {0xDE + more: (self._map, 2 << more) for more in range(2)}

    def value(self) -> Any:  # noqa: PLR0911 - one for each kind
        first = self._number(1)
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first < 0x90:
            return self._map(first & 0x0F)
        if first < 0xA0:
            return self._array(first & 0x0F)
        if first < 0xC0:
            return self._text(first & 0x1F)
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _NUMBERS:
            form = _NUMBERS[first]
            return form.unpack(self._take(form.size))[0]
        if first in _FIXED_EXTENSIONS:
            return self._extension(_FIXED_EXTENSIONS[first])
        if first not in self._sized:
            raise ValueError(f"no value begins with the byte {first:02x}")
        read, size = self._sized[first]
        return read(self._number(size))

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise ValueError("the value is incomplete")
        taken, self.at = self._data[self.at : end], end
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _text(self, size: int) -> str:
        return self._take(size).decode()

    def _extension(self, size: int) -> Any:
        code = self._number(1)
        return extension(code - 0x100 if code >= 0x80 else code, self._take(size))

    def _array(self, size: int) -> list[Any]:
        return [self.value() for _ in range(size)]

    def _map(self, size: int) -> dict[Any, Any]:
        return {_hashable(self.value()): self.value() for _ in range(size)}


def _hashable(key: Any) -> Hashable:
    if isinstance(key, list):
        return tuple(map(_hashable, key))
    if isinstance(key, dict):
        raise ValueError("a map key holds a map")  # noqa: TRY004 - bytes were lost on the way, as for the other errors
    return key  # type: ignore[no-any-return]
