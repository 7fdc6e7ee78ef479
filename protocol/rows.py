"""Rows of a batch: how each operation encodes them as the bodies of chunks, and how they are decoded.

A row is a key, its bucket id, and the arguments of the operation:

    WRITE                      value [expiry]
    UPDATE                     value [expiry] condition
    DELETE_IF                  condition
    TOUCH                      expiry
    INCREMENT                  delta, initial, min, max, expiry, whether the expiry counts always
    READ, READ_TUPLES, DELETE  nothing

An expiry is an integer. 0 keeps the key's expiry; a positive number is so many milliseconds after the chunk is applied;
a negative one is minus the Unix time in milliseconds. None, or no expiry: the key never expires. `protocol.changes`
describes conditions. A value may be `msgspec.Raw`, which is MessagePack already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from protocol.chunks import Cut, cut
from protocol.operations import Operation

KEEP: Final = 0
"""The expiry that leaves a key's own expiry unchanged."""

MAX_TTL_S: Final = 315_360_000
"""The longest time in seconds after which a key can expire: ten years."""

LAST_S: Final = 253_402_300_799
"""The last second at which a key can expire, that of the year 9999."""

LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1
"""The highest integer that a counter may hold, or that may be added to it."""

Expiry: TypeAlias = int | None
AnyRow: TypeAlias = tuple[Any, ...]


class _Form(NamedTuple):
    """How rows are encoded, and how their arguments are decoded."""

    arrange: Callable[[Sequence[AnyRow]], Any]
    rest: Callable[[bytes], list[AnyRow]]


_encode = msgspec.msgpack.Encoder().encode
_as_rows = msgspec.msgpack.Decoder(list[tuple[msgspec.Raw, ...]]).decode
_as_columns = msgspec.msgpack.Decoder(list[list[msgspec.Raw]]).decode
_as_update = msgspec.msgpack.Decoder(tuple[list[tuple[msgspec.Raw, ...]], list[msgspec.Raw]]).decode


def _columns(rows: Sequence[AnyRow]) -> Sequence[Sequence[Any]]:
    return list(zip(*rows, strict=True))


def _rest_of_update(body: bytes) -> list[AnyRow]:
    entries, conditions = _as_update(body)
    return [(*entry[2:], condition) for entry, condition in zip(entries, conditions, strict=True)]


_ROWS = _Form(lambda rows: rows, lambda body: [row[2:] for row in _as_rows(body)])
_COLUMNS = _Form(_columns, lambda body: [row[2:] for row in zip(*_as_columns(body), strict=True)])
_UPDATE = _Form(lambda rows: ([row[:-1] for row in rows], [row[-1] for row in rows]), _rest_of_update)
_FORMS = {
    Operation.WRITE: _ROWS,
    Operation.READ: _COLUMNS,
    Operation.DELETE: _COLUMNS,
    Operation.READ_TUPLES: _COLUMNS,
    Operation.UPDATE: _UPDATE,
    Operation.DELETE_IF: _COLUMNS,
    Operation.INCREMENT: _ROWS,
    Operation.TOUCH: _COLUMNS,
}


def bodies(operation: Operation, rows: Sequence[AnyRow]) -> Sequence[Cut]:
    """Make the bodies of the chunks for `rows`, in order; at least one.

    Raises:
        OverflowError: a value contains an integer that MessagePack cannot encode.
    """
    arrange = _FORMS[operation].arrange
    return list(cut(lambda start, end: _encode(arrange(rows[start:end])), len(rows)))


def rest_of_rows(operation: Operation, body: bytes) -> list[AnyRow]:
    """The arguments of each row in a body, without its key and bucket, encoded as they were."""
    return _FORMS[operation].rest(body)
