"""The options of a request besides its keys or data: for the whole batch, and for single keys in `options`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from api.batch.conditions import GivenIf, condition_of
from api.batch.expiries import Given, expiry_of
from api.batch.members import STEP_KEYS, Members
from api.batch.refused_body import invalid
from api.batch.steps import Steps
from protocol.changes import Condition
from protocol.operations import Operation
from protocol.rows import Expiry

T = TypeVar("T")
G = TypeVar("G")

VERSION, EXPIRES_AT = "version", "expires_at"

RETURNED = frozenset((VERSION,))
WANTED = frozenset((VERSION, EXPIRES_AT))

_NEEDED = "'ttl' or 'expires_at' is needed, for all keys or for each"


class _OfWrite(msgspec.Struct, forbid_unknown_fields=True):
    ttl: Given = UNSET
    expires_at: Given = UNSET
    condition: GivenIf | UnsetType = msgspec.field(name="if", default=UNSET)


class _OfDelete(msgspec.Struct, forbid_unknown_fields=True):
    condition: GivenIf | UnsetType = msgspec.field(name="if", default=UNSET)


class _OfTouch(msgspec.Struct, forbid_unknown_fields=True):
    ttl: Given = UNSET
    expires_at: Given = UNSET


@dataclass(frozen=True, slots=True)
class PerKey(Generic[T]):
    """What applies to all keys, and to those with options of their own."""

    every: T
    own: dict[str, T] = field(default_factory=dict)

    def of(self, key: str) -> T:
        """What applies to a key."""
        return self.own.get(key, self.every)

    def all(self) -> Iterable[T]:
        """Every value that applies to some key, or would."""
        yield self.every
        yield from self.own.values()


Mark: TypeAlias = tuple[Expiry, Condition]
"""The expiry and the condition that a write has for a key."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The options of a write besides its data."""

    marks: PerKey[Mark]
    versions: bool
    """Whether the answer must contain the versions."""

    operation: Operation

    def rows(self, data: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a write, without their buckets."""
        own, every = self.marks.own, self.marks.every
        plain = self.operation is Operation.WRITE
        rows: list[tuple[Any, ...]] = []
        for key, value in data.items():
            expiry, condition = own.get(key, every)
            if plain:
                rows.append((key, value) if expiry is None else (key, value, expiry))
            else:
                rows.append((key, value, condition) if expiry is None else (key, value, expiry, condition))
        return rows


def own_options(members: Members, kind: type[G], read: Callable[[G, str, str], T]) -> Steps[dict[str, T]]:
    """The own options of single keys; `read` is called with the options of each key and their place.

    Raises:
        Problem: 400.
    """
    given: dict[str, G] = yield from members.options(kind)
    own: dict[str, T] = {}
    for position, (key, options) in enumerate(given.items(), 1):
        own[key] = read(options, "options", key)
        if position % STEP_KEYS == 0:
            yield
    return own


def _or(one: T | UnsetType, other: T) -> T:
    return other if one is UNSET else one


def write_options(members: Members) -> Steps[WriteOptions]:
    """Decode the options of a write.

    Raises:
        Problem: 400.
    """
    expiry = _or(expiry_of(members.scalar("ttl"), members.scalar("expires_at"), keep=True), None)
    condition = _or(condition_of(members.one("if", GivenIf)), None)  # type: ignore[arg-type] # a union is a type here
    versions = VERSION in members.words("return", RETURNED)

    def read(given: _OfWrite, *path: str) -> Mark:
        return (
            _or(expiry_of(given.ttl, given.expires_at, *path, keep=True), expiry),
            _or(condition_of(given.condition, *path), condition),
        )

    marks = PerKey((expiry, condition), (yield from own_options(members, _OfWrite, read)))
    conditional = versions or any(condition is not None for _, condition in marks.all())
    return WriteOptions(marks, versions, Operation.UPDATE if conditional else Operation.WRITE)


def delete_conditions(members: Members) -> Steps[PerKey[Condition]]:
    """Decode the conditions of a delete.

    Raises:
        Problem: 400.
    """
    condition = _or(condition_of(members.one("if", GivenIf)), None)  # type: ignore[arg-type] # a union is a type here

    def read(given: _OfDelete, *path: str) -> Condition:
        return _or(condition_of(given.condition, *path), condition)

    return PerKey(condition, (yield from own_options(members, _OfDelete, read)))


def touch_expiries(members: Members, keys: Iterable[str]) -> Steps[PerKey[Expiry]]:
    """Decode the expiries that a touch gives to its keys.

    Raises:
        Problem: 400.
    """
    expiry = expiry_of(members.scalar("ttl"), members.scalar("expires_at"))

    def read(given: _OfTouch, *path: str) -> Expiry:
        own = expiry_of(given.ttl, given.expires_at, *path)
        if own is UNSET and expiry is UNSET:
            raise invalid(_NEEDED, *path)
        return _or(own, _or(expiry, None))

    own = yield from own_options(members, _OfTouch, read)
    if expiry is UNSET and not all(key in own for key in keys):
        raise invalid(_NEEDED, "ttl")
    return PerKey(_or(expiry, None), own)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The options of a read besides its keys: members of `meta`, and whether the answer may have some of the keys
    only.
    """

    wanted: frozenset[str]
    partial: bool


NOTHING_ELSE = ReadOptions(frozenset(), partial=False)


def read_options(members: Members) -> ReadOptions:
    """Decode the options of a read.

    Raises:
        Problem: 400.
    """
    return ReadOptions(members.words("with", WANTED), _or(members.one("partial", bool), False))
