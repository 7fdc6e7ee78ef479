"""Cuts a batch into parts that fit into a request, by keys and by bytes. Each key is encoded once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tarantkv.errors import InvalidRequestError
from tarantkv.wire import array_header, map_header, packed, packed_key, packer

_ROOM_BYTES = 1024
"""Bytes reserved for the members of a body besides its keys."""


class Entry(NamedTuple):
    """A key of a batch. `encoded` is the key, with its value if it has one; `option` the pair for `options`, or b""."""

    key: str
    encoded: bytes
    option: bytes


class Batch(NamedTuple):
    """A batch before it is cut. `fixed` are the encoded members that every part has; `pairs`: the keys have values."""

    path: str
    member: str
    pairs: bool
    fixed: Sequence[bytes]
    entries: Sequence[Entry]

    def body(self, entries: Sequence[Entry]) -> bytes:
        """The body of a request with some of the keys."""
        options = [entry.option for entry in entries if entry.option]
        head = map_header(len(entries)) if self.pairs else array_header(len(entries))
        pieces = [map_header(1 + len(self.fixed) + bool(options)), packed_key(self.member), head]
        pieces += [entry.encoded for entry in entries]
        pieces += self.fixed
        if options:
            pieces += [packed_key("options"), map_header(len(options)), *options]
        return b"".join(pieces)


def batch(
    path: str,
    keys: Iterable[str],
    values: Mapping[str, Any] | None,
    fixed: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
) -> Batch:
    """A batch of keys, or of keys and `values`. A key that occurs several times counts once.

    Raises:
        InvalidKeyError, InvalidValueError: a key or a value cannot be stored.
        InvalidRequestError: an option names a key that is not in the batch.
    """
    pack = packer()
    if isinstance(keys, str):
        raise InvalidRequestError("keys must be several: put a single one in a list")
    names = dict.fromkeys(keys)
    of_each = dict(options or {})
    entries = []
    for key in names:
        encoded = packed_key(key)
        option = encoded + packed(pack, of_each.pop(key), key) if key in of_each else b""
        if values is not None:
            encoded += packed(pack, values[key], key)
        entries.append(Entry(key, encoded, option))
    for key in of_each:
        raise InvalidRequestError(f"options has the key {key!r}, which is not in the batch")
    members = [packed_key(name) + packed(pack, value, name) for name, value in fixed.items()]
    return Batch(path, "keys" if values is None else "data", values is not None, members, entries)


def cut(entries: Sequence[Entry], most_keys: int, most_bytes: int) -> Iterator[Sequence[Entry]]:
    """The entries in parts of at most `most_keys` and about `most_bytes`; a larger single one is a part by itself."""
    first, size = 0, _ROOM_BYTES
    for position, entry in enumerate(entries):
        more = len(entry.encoded) + len(entry.option)
        if position > first and (position - first >= most_keys or size + more > most_bytes):
            yield entries[first:position]
            first, size = position, _ROOM_BYTES
        size += more
    if first < len(entries):
        yield entries[first:]
